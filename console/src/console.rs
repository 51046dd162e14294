use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::request::Parts;
use tokio::sync::watch;
use tripcoil::{CircuitBreaker, Registry};

use crate::access::Access;
use crate::audit::Audit;
use crate::core::{AccessOf, AuditHook, Closing, Core};
use crate::journal::Journal;
use crate::service::ConsoleService;
use crate::source::{Held, Shared, Sources};

/// The bytes of history that are kept unless [`Console::history_limit`] says otherwise: 16 MiB.
const HISTORY_LIMIT: usize = 16 * 1024 * 1024;

/// A page to watch and operate breakers, and what it shows.
///
/// Add breakers and registries, decide who may do what, and mount it with [`router`](Self::router),
/// [`service`](Self::service) or [`serve`](Self::serve).
///
/// ```
/// use std::sync::LazyLock;
/// use tripcoil::{CircuitBreaker, Registry};
/// use tripcoil_console::{Access, Console};
///
/// static PAYMENTS: CircuitBreaker = CircuitBreaker::new("payments");
/// static HOSTS: LazyLock<Registry<String>> = LazyLock::new(|| Registry::new("hosts"));
///
/// let console = Console::new().breaker(&PAYMENTS).registry(&HOSTS).access(|request| {
///     match request.headers.get("x-forwarded-user").and_then(|user| user.to_str().ok()) {
///         Some(user) => Access::Full { actor: user.into() },
///         None => Access::ReadOnly,
///     }
/// });
/// # #[cfg(feature = "axum")]
/// let app: axum::Router = axum::Router::new().nest("/breakers", console.router());
/// ```
#[must_use = "a console shows nothing until it is mounted"]
pub struct Console(Settings);

pub(crate) struct Settings {
    pub(crate) sources: Sources,
    pub(crate) access: AccessOf,
    pub(crate) audit: Vec<AuditHook>,
    pub(crate) journals: Vec<Journal>,
    pub(crate) origins: Vec<String>,
    pub(crate) hosts: Vec<String>,
    pub(crate) history_limit: usize,
    pub(crate) closing: Arc<Closing>,
}

impl Default for Console {
    fn default() -> Self {
        Console::new()
    }
}

impl Console {
    /// A console that shows nothing yet, and is read-only.
    pub fn new() -> Self {
        Console(Settings {
            sources: Sources::default(),
            access: Box::new(|_| Access::ReadOnly),
            audit: Vec::new(),
            journals: Vec::new(),
            origins: Vec::new(),
            hosts: Vec::new(),
            history_limit: HISTORY_LIMIT,
            closing: Arc::new(Closing { is_closed: AtomicBool::new(false), samples: watch::Sender::new(0) }),
        })
    }

    /// Shows a breaker: `&BREAKER` of a `static`, which may be in a [`LazyLock`](std::sync::LazyLock), or an [`Arc`].
    ///
    /// Give each breaker a name of its own. The page shows two of the same name, and refuses to act on either.
    pub fn breaker(mut self, breaker: impl Shared<CircuitBreaker>) -> Self {
        self.0.sources.breakers.push(Box::new(breaker));
        self
    }

    /// Shows a registry: the sums over its breakers, the worst by name, and every breaker in the list. Give each registry a
    /// name of its own.
    ///
    /// The console reads every listed breaker once a second without marking it as used, so it does not change which
    /// breaker is evicted. It clones and hashes each key for that. If this panics, the page says that the registry cannot be
    /// read, and the console goes on.
    pub fn registry<K, S>(mut self, registry: impl Shared<Registry<K, S>>) -> Self
    where
        K: Eq + Hash + Clone + 'static,
        S: BuildHasher + 'static,
    {
        self.0.sources.registries.push(Box::new(Held::new(registry)));
        self
    }

    /// Takes transitions from a [`Journal`], so that the page shows their causes and counts. May be called more than once.
    pub fn journal(mut self, journal: &Journal) -> Self {
        self.0.journals.push(journal.clone());
        self
    }

    /// Decides what the sender of a request may see and do. Default: [`Access::ReadOnly`] for everyone.
    ///
    /// `access` is called for each request, assets included, on the thread that serves it; it should return at once. If it
    /// panics, the request is answered with 500 and nothing is done. A page that stays open asks again after ten minutes at
    /// most, and with each action.
    ///
    /// The console has no login, no session and no cookie. Let your own middleware find out who it is, and read that here:
    /// from a header, or from the extensions of the request.
    pub fn access(mut self, access: impl Fn(&Parts) -> Access + Send + Sync + 'static) -> Self {
        self.0.access = Box::new(access);
        self
    }

    /// Adds a hook that receives every attempt to act, those that were refused too.
    ///
    /// It is called after the act, on the thread that serves the request, and before the answer is sent. Panics are caught.
    /// Requests that are not from the page itself (another origin, no header of the console) never come this far.
    pub fn on_audit(mut self, hook: impl Fn(&Audit) + Send + Sync + 'static) -> Self {
        self.0.audit.push(Box::new(hook));
        self
    }

    /// Also lets pages of this origin act, such as `"https://ops.example"`.
    ///
    /// You need it only if a reverse proxy changes the `Host` header and the browser sends no `Sec-Fetch-Site`, which it
    /// leaves out for plain HTTP.
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.0.origins.push(origin.into().to_ascii_lowercase());
        self
    }

    /// Lets [`serve`](Self::serve) answer requests for this host, such as `"ops.example"` or `"ops.example:9000"`.
    ///
    /// Without a port, every port is accepted. `localhost` and every IP address are accepted anyway.
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        self.0.hosts.push(host.into().to_ascii_lowercase());
        self
    }

    /// The most bytes that the histories take together. Default: 16 MiB. Any number is allowed; 0 keeps no history.
    ///
    /// The history of one breaker, its last hour, takes 8 KiB at most. If there are more breakers than fit, those that are
    /// not closed have a history first, then those with calls in the last minute; others show none. Beside that, each breaker takes
    /// about 1.3 KB, and its name.
    pub fn history_limit(mut self, bytes: usize) -> Self {
        self.0.history_limit = bytes;
        self
    }

    /// A handle that ends the pages' live connections, for a graceful stop of your server.
    ///
    /// An open page keeps its connection for ten minutes. A server that waits for all connections to end needs this.
    #[must_use]
    pub fn closer(&self) -> Closer {
        Closer(self.0.closing.clone())
    }

    /// A service for any stack of `tower`, or for hyper. It is cheap to clone, and clones share everything.
    ///
    /// It expects paths relative to the place where it is mounted: `/` for the page, `/api/breakers` for the JSON. The page
    /// refers to its parts by relative paths. Unless axum mounts it, the page has to be at a path that ends with `/`.
    ///
    /// # Panics
    ///
    /// If the operating system cannot start a thread, which looks at the breakers once a second until the last clone is dropped.
    #[must_use]
    pub fn service(self) -> ConsoleService {
        let core = Core::new(self.0);
        let sampler = crate::sampler::start(&core).expect("the operating system can start a thread");
        ConsoleService::new(core, sampler)
    }

    /// A router for axum, to be mounted with `nest` or `merge`.
    ///
    /// Under `nest("/breakers", ..)` the page is at `/breakers`. (axum passes no `/breakers/` on to a nested router. With
    /// `nest_service("/breakers", console.service())` the page is at both.)
    ///
    /// # Panics
    ///
    /// As [`service`](Self::service).
    #[cfg(feature = "axum")]
    #[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> axum::Router<S> {
        crate::router::router(self.service())
    }

    /// Serves the console on a thread of its own, for programs without an async runtime.
    ///
    /// It is served until the process ends or [`Serving::stop`](crate::Serving::stop) is called. Port 0 takes a free port;
    /// [`Serving::url`](crate::Serving::url) returns the address. There is no TLS: bind to a loopback address, or put a proxy before it.
    ///
    /// Requests whose `Host` is neither an IP address nor `localhost` nor [allowed](Self::allow_host) are refused, so that no
    /// web page reaches the console by giving its own name this address.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use tripcoil::CircuitBreaker;
    /// use tripcoil_console::Console;
    ///
    /// static PAYMENTS: CircuitBreaker = CircuitBreaker::new("payments");
    ///
    /// let serving = Console::new().breaker(&PAYMENTS).serve("127.0.0.1:0")?;
    /// println!("the breakers are at {}", serving.url());
    /// # serving.stop();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the address cannot be bound or the thread cannot be started.
    #[cfg(feature = "serve")]
    #[cfg_attr(docsrs, doc(cfg(feature = "serve")))]
    pub fn serve(self, address: impl std::net::ToSocketAddrs) -> std::io::Result<crate::Serving> {
        crate::serve::serve(self.0, address)
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("breakers", &self.0.sources.breakers.len())
            .field("registries", &self.0.sources.registries.len())
            .finish_non_exhaustive()
    }
}

/// Ends the live connections of a console's pages; made by [`Console::closer`].
#[derive(Clone)]
pub struct Closer(Arc<Closing>);

impl Closer {
    /// Ends them, and refuses new ones with 503. Everything else is still answered.
    pub fn close(&self) {
        self.0.is_closed.store(true, Ordering::Relaxed);
        self.0.samples.send_modify(|samples| *samples += 1);
    }
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closer").finish_non_exhaustive()
    }
}
