use std::fmt;
use std::time::Duration;

use redis::{Client, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, RedisResult, Script};

use crate::protocol::{Op, Reply, prefix};
use crate::store::{Connection, Listener, Store, StoreError};

/// What Redis does with a batch, as a Lua script.
#[doc(hidden)]
pub const SCRIPT: &str = include_str!("protocol/script.lua");

/// A store in Redis 7 or later, or Valkey.
///
/// Each batch is one call of a Lua script, through `EVALSHA`. All keys of a fleet are in one slot. In a Redis
/// Cluster, use the address of the node that owns the slot. The client does not query Sentinel.
///
/// The address is `redis://[user[:password]@]host[:port][/db]` or `redis+unix:///path`. With the feature `tls`, it
/// can also be `rediss://`. The environment variables `REDIS_USERNAME` and `REDIS_PASSWORD` can provide the user and
/// the password; the address takes precedence. Errors and `Debug` output never contain either.
///
/// ```
/// use tripcoil_fleet::{Fleet, Redis};
///
/// let store = Redis::new("redis://127.0.0.1:6379")?;
/// let fleet = Fleet::builder("checkout").store(store).build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Redis {
    client: Client,
    user: Option<String>,
    password: Option<String>,
    db: i64,
    timeout: Duration,
}

/// How often a listener is asked whether it goes on.
const POLL: Duration = Duration::from_millis(100);

impl Redis {
    /// Creates a store at this address. This validates the address and does not connect.
    ///
    /// # Errors
    ///
    /// Returns a [`StoreError`] if the address is invalid.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        // The client's own error may hold the address, and that a password.
        let malformed =
            |_| StoreError::new("the address is none of `redis://host:port`, nor `rediss://` with the feature `tls`");
        let info = url.into_connection_info().map_err(malformed)?;
        let settings = info.redis_settings();
        let from_env = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let password = settings.password().map(str::to_owned).or_else(|| from_env("REDIS_PASSWORD"));
        let user = settings.username().map(str::to_owned).or_else(|| from_env("REDIS_USERNAME"));
        let db = settings.db();
        let client = Client::open(without_greeting(&info)).map_err(malformed)?;
        Ok(Redis { client, user, password, db, timeout: Duration::from_millis(500) })
    }

    /// Sets the timeout for connecting and for each command. Default: 500 ms.
    #[must_use]
    pub fn command_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(crate) fn open(&self) -> RedisResult<redis::Connection> {
        let mut connection = self.client.get_connection_with_timeout(self.timeout)?;
        connection.set_read_timeout(Some(self.timeout))?;
        connection.set_write_timeout(Some(self.timeout))?;
        if let Some(password) = &self.password {
            let mut auth = redis::cmd("AUTH");
            if let Some(user) = &self.user {
                auth.arg(user);
            }
            auth.arg(password).exec(&mut connection)?;
        }
        if self.db != 0 {
            redis::cmd("SELECT").arg(self.db).exec(&mut connection)?;
        }
        Ok(connection)
    }
}

/// The client sends its greeting before it can be told of a timeout; so it sends none.
fn without_greeting(info: &ConnectionInfo) -> ConnectionInfo {
    info.clone().set_redis_settings(redis::RedisConnectionInfo::default().set_skip_set_lib_name())
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.client.get_connection_info().addr().to_string();
        f.debug_struct("Redis").field("address", &address).finish_non_exhaustive()
    }
}

impl Store for Redis {
    fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        let connection = self.open().map_err(|error| told(&error))?;
        Ok(Box::new(Connected { connection, script: Script::new(SCRIPT) }))
    }

    fn listen(&self, fleet: &str, listener: &mut dyn Listener) -> Result<(), StoreError> {
        self.hear(fleet, listener).map_err(|error| told(&error))
    }
}

impl Redis {
    fn hear(&self, fleet: &str, listener: &mut dyn Listener) -> RedisResult<()> {
        let mut connection = self.open()?;
        let mut messages = connection.as_pubsub();
        messages.subscribe(format!("{}ev", prefix(fleet)))?;
        listener.subscribed();
        messages.set_read_timeout(Some(POLL))?;
        while listener.goes_on() {
            match messages.get_message() {
                Ok(message) => listener.message(message.get_payload_bytes()),
                Err(error) if error.is_timeout() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

struct Connected {
    connection: redis::Connection,
    script: Script,
}

impl Connection for Connected {
    fn run(&mut self, fleet: &str, caller: &str, ops: &[Op]) -> Result<Reply, StoreError> {
        let mut invocation = self.script.key(format!("{}seq", prefix(fleet)));
        invocation.arg(caller);
        for op in ops {
            invocation.arg(op.encode());
        }
        let texts: Vec<String> = invocation.invoke(&mut self.connection).map_err(|error| told(&error))?;
        let (head, answers) = texts.split_first().ok_or_else(|| StoreError::new("the script has answered nothing"))?;
        Reply::decode(head, answers.iter().map(String::as_str))
            .map_err(|malformed| StoreError::new(format!("the script's answer is malformed: {malformed}")))
    }
}

/// What people are told. The details of a server's error name keys at most, never a password.
pub(crate) fn told(error: &RedisError) -> StoreError {
    let kind = match error.kind() {
        ErrorKind::Io if error.is_timeout() => return StoreError::new("redis did not answer in time"),
        ErrorKind::AuthenticationFailed => return StoreError::new("redis refused user or password"),
        kind => kind,
    };
    StoreError::new(format!("redis: {}", error.detail().map_or_else(|| format!("{kind:?}"), str::to_owned)))
}
