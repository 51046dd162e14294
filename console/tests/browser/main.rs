//! The console in a real browser. It needs Debian's `chromium` and `chromium-driver`; `.ci/run console` runs it.

mod driver;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use driver::{Screen, click, fill, script, text, until, until_here, until_row, with_browser};
use fantoccini::key::Key;
use serde_json::json;
use tripcoil::{CircuitBreaker, Registry, State};
use tripcoil_console::{Access, Action, Audit, AuditOutcome, Console, Journal, Scope};
use tripcoil_fleet::{Fleet, Memory, Quorum};

fn breaker(name: &str) -> Arc<CircuitBreaker> {
    Arc::new(CircuitBreaker::builder(name.to_owned()).build().unwrap())
}

fn full(console: Console) -> Console {
    console.access(|_| Access::Full { actor: "ana".into() })
}

fn audited(console: Console) -> (Console, Arc<Mutex<Vec<Audit>>>) {
    let audits: Arc<Mutex<Vec<Audit>>> = Arc::default();
    let heard = audits.clone();
    (console.on_audit(move |audit| heard.lock().unwrap().push(audit.clone())), audits)
}

#[tokio::test]
async fn the_page_follows_what_happens() {
    let journal = Journal::new();
    let payments =
        CircuitBreaker::builder("payments").error_threshold(3).on_transition(journal.observer()).build().unwrap();
    let payments = Arc::new(payments);
    let hosts: Arc<Registry<String>> = Arc::new(Registry::new("hosts"));
    let serving = Console::new()
        .breaker(payments.clone())
        .registry(hosts.clone())
        .journal(&journal)
        .serve("127.0.0.1:0")
        .unwrap();
    let url = serving.url();
    with_browser(Screen::default(), |client| async move {
        client.goto(&url).await.unwrap();
        until_row(&client, "payments", "Closed").await;
        until(&client, "document.getElementById('calm').textContent.includes('closed')").await;
        script(&client, "window.isTheSame = true").await;
        payments.try_acquire().unwrap().failure();
        until(&client, "document.querySelector('.near .sub').textContent === '1 of 3 errors in a row'").await;
        for _ in 0..2 {
            payments.try_acquire().unwrap().failure_because("no answer");
        }
        hosts.get("new.example");
        until_row(&client, "payments", "Open").await;
        until_row(&client, "new.example", "Closed").await;
        until(&client, "document.title === '(1) Breakers'").await;
        let row = text(&client, ".rows .row").await;
        assert!(row.contains("too many errors in a row") && row.contains("no answer"), "{row}");
        // It counts down without being told.
        until(&client, "/^2[0-9] s$/.test(document.querySelector('.rows .row .retry').textContent)").await;

        click(&client, ".rows .name a").await;
        until(&client, "document.querySelector('h1')?.textContent === 'payments'").await;
        until(&client, "document.querySelector('tbody')?.textContent.includes('3 errors in a row')").await;
        until(&client, "document.querySelector('.chart .band.open')").await;
        until(&client, "document.querySelector('.chart .c-bad')").await;
        payments.reset();
        until(&client, "document.querySelector('.pill').textContent === 'Closed'").await;
        payments.shadow(CircuitBreaker::new("default").config()).unwrap();
        until(&client, "document.querySelector('p.card').textContent.startsWith('The shadow would be closed.')").await;
        assert_eq!(script(&client, "return window.isTheSame").await, true, "without loading the page anew");
    })
    .await;
    serving.stop();
}

#[tokio::test]
async fn every_act_is_done_from_the_page_with_its_reason() {
    let payments = breaker("payments");
    let (console, audits) = audited(full(Console::new().breaker(payments.clone())));
    let serving = console.serve("127.0.0.1:0").unwrap();
    let url = format!("{}#/breaker/payments", serving.url());
    with_browser(Screen::default(), |client| async move {
        client.goto(&url).await.unwrap();
        for (action, state, shown) in [
            ("force_open", State::ForcedOpen, "Forced open"),
            ("release", State::Closed, "Closed"),
            ("force_closed", State::ForcedClosed, "Forced closed"),
            ("reset", State::Closed, "Closed"),
        ] {
            click(&client, &format!("[data-action={action}]")).await;
            fill(&client, "#reason", &format!("why {action}")).await;
            click(&client, "dialog [type=submit]").await;
            until_here(|| payments.state() == state).await;
            until(&client, &format!("document.querySelector('.pill').textContent === '{shown}'")).await;
            if action != "reset" {
                let lead =
                    format!("document.querySelector('.lead').textContent.includes('because of: ana, why {action}')");
                until(&client, &lead).await;
            }
            until(&client, "!document.getElementById('dialog').open").await;
        }
        // Only a forced breaker can be released.
        assert_eq!(script(&client, "return document.querySelector('[data-action=release]')").await, json!(null));

        click(&client, "[data-action=reconfigure]").await;
        assert_eq!(script(&client, "return document.getElementById('set-reset_timeout').value").await, "30s");
        fill(&client, "#set-error_threshold", "0").await;
        fill(&client, "#reason", "less patience").await;
        click(&client, "dialog [type=submit]").await;
        until(&client, "document.getElementById('err-error_threshold').textContent").await;
        let error = text(&client, "#err-error_threshold").await;
        assert_eq!(error, "`error_threshold` is 0, allowed is 1 to 4294967295");
        assert_eq!(script(&client, "return document.activeElement.id").await, "set-error_threshold");
        fill(&client, "#set-error_threshold", "2").await;
        fill(&client, "#set-reset_timeout", "5s").await;
        click(&client, "dialog [type=submit]").await;
        until_here(|| payments.config().reset_timeout == Some(Duration::from_secs(5))).await;
        assert_eq!(payments.config().error_threshold, Some(Some(2)));
        until(&client, "document.querySelector('.differs td:nth-child(2)')?.textContent === '2'").await;
        let events = text(&client, "tbody").await;
        assert!(events.contains("Force open by ana: why force_open"), "{events}");
        assert!(events.contains("Reconfigure by ana: less patience"), "{events}");

        // Without a reason nothing is sent.
        click(&client, "[data-action=force_open]").await;
        click(&client, "dialog [type=submit]").await;
        assert_eq!(script(&client, "return document.getElementById('dialog').open").await, true);
        assert_eq!(payments.state(), State::Closed);
    })
    .await;
    let audits = audits.lock().unwrap();
    let done: Vec<_> =
        audits.iter().map(|audit| (audit.action, matches!(audit.outcome, AuditOutcome::Done { .. }))).collect();
    assert_eq!(
        done,
        [
            (Action::ForceOpen, true),
            (Action::Release, true),
            (Action::ForceClosed, true),
            (Action::Reset, true),
            (Action::Reconfigure, false),
            (Action::Reconfigure, true),
        ]
    );
    serving.stop();
}

#[tokio::test]
async fn a_fleet_is_shown_and_acted_on_from_the_page() {
    let store = Memory::new();
    let member = |name: &str| {
        let builder = Fleet::builder("checkout").store(store.clone()).instance(name);
        let fleet = builder
            .beat(Duration::from_millis(200))
            .slow_close(Duration::ZERO)
            .quorum(Quorum::count(2))
            .build()
            .unwrap();
        let payments = breaker("payments");
        fleet.join(&payments);
        (fleet, payments)
    };
    let (fleet, payments) = member("pod-7");
    let (_other, others) = member("pod-8");
    let alone = breaker("alone");
    let console = Console::new().breaker(payments.clone()).breaker(alone.clone()).fleet(&fleet);
    let (console, audits) = audited(full(console));
    let serving = console.serve("127.0.0.1:0").unwrap();
    let url = serving.url();
    let (here, memory) = (payments.clone(), store.clone());
    with_browser(Screen::default(), |client| async move {
        client.goto(&url).await.unwrap();
        until(&client, "document.querySelector('.fleet')?.textContent.includes('2 members · 0 held open')").await;
        assert!(text(&client, ".fleet header").await.contains("connected"));

        client.goto(&format!("{url}#/breaker/payments")).await.unwrap();
        click(&client, "[data-action=force_open]").await;
        let scopes = "return [...document.querySelectorAll('.pick label')].map((label) => label.textContent).join()";
        assert_eq!(script(&client, scopes).await, "This process,All of the fleet checkout");
        assert_eq!(script(&client, "return document.querySelector('.pick :checked').value").await, "process");
        click(&client, "[value=fleet]").await;
        fill(&client, "#reason", "moving house").await;
        fill(&client, "#for", "soon").await;
        click(&client, "dialog [type=submit]").await;
        until(&client, "document.getElementById('err-for')?.textContent.includes('allowed is 1s to 720h')").await;
        fill(&client, "#for", "30m").await;
        click(&client, "dialog [type=submit]").await;
        until_here(|| here.state() == State::ForcedOpen && others.state() == State::ForcedOpen).await;
        until(&client, "document.querySelector('#detail .fleet')?.textContent.includes('ana: moving house, for ')").await;
        until(&client, "document.querySelector('tbody')?.textContent.includes('by ana, for the fleet, for 30 min')").await;

        client.goto(&format!("{url}#/")).await.unwrap();
        until(&client, "document.querySelector('.fleet .worst')?.textContent.includes('ana: moving house')").await;
        let row = "[...document.querySelectorAll('.rows .row')].some((row) => row.textContent.includes('fleet: ana: moving house'))";
        until(&client, row).await;
        client.goto(&format!("{url}#/breaker/payments")).await.unwrap();
        click(&client, "[data-action=release]").await;
        assert_eq!(script(&client, "return document.querySelector('.pick :checked').value").await, "fleet");
        fill(&client, "#reason", "moved").await;
        click(&client, "dialog [type=submit]").await;
        until_here(|| [&here, &others].iter().all(|one| one.state() != State::ForcedOpen)).await;
        // It would close by steps, with the calls that nobody makes here.
        here.reset();
        others.reset();
        until(&client, "!document.getElementById('dialog').open").await;

        // A breaker that has not joined is of this process.
        client.goto(&format!("{url}#/breaker/alone")).await.unwrap();
        until(&client, "document.querySelector('h1')?.textContent === 'alone'").await;
        click(&client, "[data-action=force_open]").await;
        assert_eq!(script(&client, "return document.querySelectorAll('.pick').length").await, 0);
        fill(&client, "#reason", "a short one").await;
        fill(&client, "#for", "2s").await;
        click(&client, "dialog [type=submit]").await;
        until_here(|| alone.state() == State::ForcedOpen).await;
        until(&client, "document.querySelector('.lead')?.textContent.includes('Held for ')").await;
        until_here(|| alone.state() == State::Closed).await;
        until(&client, "document.querySelector('tbody')?.textContent.includes('the hold has ended: a short one')").await;

        // The outage of the fleet, and of its store.
        client.goto(&format!("{url}#/breaker/payments")).await.unwrap();
        let fail = |breaker: &CircuitBreaker| (0..5).for_each(|_| breaker.try_acquire().unwrap().failure());
        fail(&here);
        until(&client, "document.querySelector('#detail .fleet')?.textContent.includes('1 vote, 2 open it')").await;
        let card = text(&client, "#detail .fleet").await;
        assert!(!card.contains("undefined") && !card.contains("false"), "{card}");
        fail(&others);
        until(&client, "document.querySelector('#detail .fleet')?.textContent.includes('Held open by the fleet')").await;
        until(&client, "document.querySelector('tbody')?.textContent.includes('the fleet holds `payments` open')").await;
        memory.go_down();
        client.goto(&format!("{url}#/")).await.unwrap();
        until(&client, "document.querySelector('.fleet')?.textContent.includes('store lost for')").await;
        until(&client, "document.querySelector('.fleet')?.textContent.includes('Each process decides by itself')").await;
        memory.come_back();
        until(&client, "document.querySelector('.fleet header')?.textContent.includes('connected')").await;
    })
    .await;
    let audits = audits.lock().unwrap();
    assert_eq!(audits[0].scope, Scope::Fleet);
    assert!(matches!(audits[0].outcome, AuditOutcome::Done { .. }), "{}", audits[0]);
    serving.stop();
    drop(fleet);
}

#[tokio::test]
async fn a_whole_registry_is_reconfigured_from_the_page() {
    let hosts: Arc<Registry<String>> = Arc::new(Registry::new("hosts"));
    hosts.get("a");
    let serving = full(Console::new().registry(hosts.clone())).serve("127.0.0.1:0").unwrap();
    let url = format!("{}#/registry/hosts", serving.url());
    with_browser(Screen::default(), |client| async move {
        client.goto(&url).await.unwrap();
        click(&client, "#scope button").await;
        fill(&client, "#set-success_threshold", "7").await;
        fill(&client, "#reason", "slower").await;
        click(&client, "dialog [type=submit]").await;
        until_here(|| hosts.get("a").config().success_threshold == Some(7)).await;
        assert_eq!(hosts.get("b").config().success_threshold, Some(7));
    })
    .await;
    serving.stop();
}

/// What a page's own script gets if it acts all the same.
const ACT: &str = "return fetch('api/act', {method: 'POST', headers: {'content-type': 'application/json', \
    'x-tripcoil-console': '1'}, body: JSON.stringify({action: 'force_open', name: 'payments', reason: 'x'})}).then((a) => a.status)";

#[tokio::test]
async fn who_may_only_look_is_offered_nothing_and_refused_by_the_server() {
    let payments = breaker("payments");
    let serving = Console::new().breaker(payments.clone()).serve("127.0.0.1:0").unwrap();
    let url = format!("{}#/breaker/payments", serving.url());
    with_browser(Screen::default(), |client| async move {
        client.goto(&url).await.unwrap();
        until(&client, "document.querySelector('.pill')").await;
        assert_eq!(text(&client, "#who").await, "read-only");
        assert_eq!(script(&client, "return document.querySelectorAll('[data-action]').length").await, 0);
        assert_eq!(script(&client, ACT).await, 403);
        assert_eq!(payments.state(), State::Closed);
    })
    .await;
    serving.stop();
}

#[tokio::test]
async fn who_may_do_some_things_is_offered_these() {
    let payments = breaker("payments");
    payments.force_open();
    let console = Console::new().breaker(payments.clone());
    let serving = console
        .access(|_| Access::Some { actor: "ben".into(), actions: vec![Action::Release] })
        .serve("127.0.0.1:0")
        .unwrap();
    let url = format!("{}#/breaker/payments", serving.url());
    with_browser(Screen::default(), |client| async move {
        client.goto(&url).await.unwrap();
        until(&client, "document.querySelector('[data-action]')").await;
        let offered = "return [...document.querySelectorAll('[data-action]')].map((button) => button.dataset.action)";
        assert_eq!(script(&client, offered).await, json!(["release"]));
        assert_eq!(script(&client, ACT).await, 403);
        assert_eq!(text(&client, "#who").await, "ben");
    })
    .await;
    serving.stop();
}

#[tokio::test]
async fn who_may_see_nothing_sees_nothing_and_loses_the_page_that_was_open() {
    let is_forbidden = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let asked = is_forbidden.clone();
    let console = Console::new().breaker(breaker("payments")).access(move |_| {
        if asked.load(std::sync::atomic::Ordering::Relaxed) { Access::Forbidden } else { Access::ReadOnly }
    });
    let serving = console.serve("127.0.0.1:0").unwrap();
    let url = serving.url();
    with_browser(Screen::default(), |client| async move {
        client.goto(&url).await.unwrap();
        until_row(&client, "payments", "Closed").await;
        is_forbidden.store(true, std::sync::atomic::Ordering::Relaxed);
        // As when the live connection ends, which happens every ten minutes.
        script(&client, "dispatchEvent(new HashChangeEvent('hashchange'))").await;
        until(&client, "document.getElementById('banner').textContent.includes('no longer see')").await;
        client.goto(&url).await.unwrap();
        let shown = text(&client, "body").await;
        assert!(shown.contains("you may not see this console") && !shown.contains("payments"), "{shown}");
    })
    .await;
    serving.stop();
}

/// Serves a page of somebody else, without any policy.
fn foreign_page(html: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 8192]);
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                html.len()
            );
            let _ = stream.write_all((head + &html).as_bytes());
        }
    });
    address
}

#[tokio::test]
async fn another_origin_can_neither_act_nor_read_nor_embed() {
    let payments = breaker("payments");
    let (console, audits) = audited(full(Console::new().breaker(payments.clone())));
    let serving = console.serve("127.0.0.1:0").unwrap();
    let url = serving.url();
    let foreign = foreign_page(format!(
        "<iframe name=f></iframe><iframe id=embedded src='{url}'></iframe>\
         <form target=f method=post enctype='text/plain' action='{url}api/act'>\
         <input name='{{\"action\":\"force_open\",\"name\":\"payments\",\"reason\":\"' value='x\"}}'></form>"
    ));
    with_browser(Screen::default(), |client| async move {
        // Another port of the same address is the same site, another name is another site.
        for origin in [format!("http://{foreign}/"), format!("http://localhost:{}/", foreign.port())] {
            client.goto(&origin).await.unwrap();
            script(&client, "document.forms[0].submit()").await;
            let order = "JSON.stringify({action: 'force_open', name: 'payments', reason: 'x'})";
            for options in [
                "{method: 'POST', mode: 'no-cors', body: ORDER}",
                "{method: 'POST', mode: 'no-cors', credentials: 'include', headers: {'content-type': 'text/plain'}, body: ORDER}",
                "{method: 'POST', headers: {'content-type': 'application/json', 'x-tripcoil-console': '1'}, body: ORDER}",
            ] {
                let attempt = format!(
                    "return fetch('{url}api/act', {}).then((answer) => answer.type + answer.status, () => 'failed')",
                    options.replace("ORDER", order)
                );
                let result = script(&client, &attempt).await;
                assert!(result == "opaque0" || result == "failed", "{options}: {result}");
            }
            let read = format!("return fetch('{url}api/breakers').then((answer) => answer.text(), () => 'failed')");
            assert_eq!(script(&client, &read).await, "failed");
            let live = format!(
                "return new Promise((done) => {{ const events = new EventSource('{url}api/stream'); \
                 events.onerror = () => done('failed'); events.onopen = () => done('open') }})"
            );
            assert_eq!(script(&client, &live).await, "failed");
            let embedded = "try { return document.getElementById('embedded').contentWindow.document.body.innerText } catch { return 'closed' }";
            let shown = script(&client, embedded).await;
            assert!(!shown.to_string().contains("Breakers"), "{shown}");
        }
        assert_eq!(payments.state(), State::Closed);

        // A domain that its owner lets point here.
        client.goto(&url.replace("127.0.0.1", "rebound.example")).await.unwrap();
        let shown = text(&client, "body").await;
        assert!(shown.contains("unknown host"), "{shown}");
    })
    .await;
    assert!(audits.lock().unwrap().is_empty());
    serving.stop();
}

#[tokio::test]
async fn hostile_names_are_shown_as_they_are_and_do_nothing() {
    let long = "<b>\"'&\u{202e}ä".repeat(1_000);
    let names = [
        "<script>window.isHarmed = 1</script>",
        "<img src=x onerror=\"window.isHarmed = 1\">",
        "javascript:window.isHarmed=1",
        "../../?q=#/%00&amp;",
        "__proto__",
        &long,
    ];
    assert!(long.len() > 10_000);
    let breakers: Vec<_> = names.iter().map(|name| breaker(name)).collect();
    let mut console = full(Console::new());
    for breaker in &breakers {
        breaker.try_acquire().unwrap().failure_because("<img src=x onerror=\"window.isHarmed = 1\">");
        console = console.breaker(breaker.clone());
    }
    let hosts: Arc<Registry<String>> = Arc::new(Registry::new("<svg onload='window.isHarmed = 1'>"));
    hosts.get(&long).force_open();
    let serving = console.registry(hosts.clone()).serve("127.0.0.1:0").unwrap();
    let url = serving.url();
    let long_name = long.clone();
    with_browser(Screen::default(), |client| async move {
        client.goto(&url).await.unwrap();
        until_row(&client, names_of(&breakers[0]), "Closed").await;
        for breaker in &breakers {
            let encoded: String = form_urlencoded::byte_serialize(breaker.name().as_bytes()).collect();
            client.goto(&format!("{url}#/breaker/{}", encoded.replace('+', "%20"))).await.unwrap();
            let name = json!(breaker.name());
            until(&client, &format!("document.querySelector('h1')?.textContent === {name}")).await;
            click(&client, "[data-action=force_open]").await;
            fill(&client, "#reason", "<script>window.isHarmed = 1</script>").await;
            click(&client, "dialog [type=submit]").await;
            until_here(|| breaker.state() == State::ForcedOpen).await;
            until(&client, "document.querySelector('tbody').textContent.includes('by ana: <script>')").await;
            assert_eq!(script(&client, "return document.documentElement.scrollWidth <= innerWidth").await, true);
        }
        // By the links of the page itself.
        client.goto(&url).await.unwrap();
        click(&client, ".worst a").await;
        until(&client, &format!("document.querySelector('h1')?.textContent === {}", json!(long_name))).await;
        assert_eq!(script(&client, "return document.documentElement.scrollWidth <= innerWidth").await, true);
        assert_eq!(script(&client, "return window.isHarmed ?? 'unharmed'").await, "unharmed");
        assert_eq!(script(&client, "return document.querySelectorAll('script, img').length").await, 2);
    })
    .await;
    serving.stop();
}

fn names_of(breaker: &CircuitBreaker) -> &str {
    breaker.name()
}

#[tokio::test]
async fn ten_thousand_breakers_are_a_few_rows_of_the_page() {
    let hosts: Registry<u32> = Registry::builder(CircuitBreaker::builder("hosts")).capacity(10_000).build().unwrap();
    for key in 0..10_000 {
        hosts.get(&key);
    }
    let hosts = Arc::new(hosts);
    let serving = Console::new().registry(hosts.clone()).serve("127.0.0.1:0").unwrap();
    let url = serving.url();
    let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (stop, called) = (is_over.clone(), hosts.clone());
    // All of them are in use.
    let calls = std::thread::spawn(move || {
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            for key in 0..10_000 {
                let _ = called.call_sync(&key, || if key % 100 == 0 { Err("down") } else { Ok(()) });
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    with_browser(Screen::default(), |client| async move {
        client.goto(&url).await.unwrap();
        until(&client, "document.querySelector('[data-state=open] b')?.textContent === '100'").await;
        assert_eq!(script(&client, "return document.getElementById('table').getAttribute('aria-rowcount')").await, "10001");
        let rows = "return document.querySelectorAll('.rows .row').length";
        let shown = script(&client, rows).await.as_u64().unwrap();
        assert!((5..60).contains(&shown), "{shown} rows");
        script(&client, "scrollTo(0, document.body.scrollHeight)").await;
        until(&client, "document.querySelector('.rows .row[aria-rowindex=\"10001\"]')").await;
        script(&client, "scrollTo(0, document.body.scrollHeight / 2)").await;
        until(&client, "document.querySelector('.rows .row[aria-rowindex=\"5000\"]')").await;
        assert!(script(&client, rows).await.as_u64().unwrap() < 60);
        script(&client, "scrollTo(0, 0)").await;
        fill(&client, "#search", "9877").await;
        until(&client, "document.querySelectorAll('.rows .row').length === 1").await;
        assert_eq!(text(&client, ".rows .name a").await, "9877");
        until(&client, "location.hash === '#/?q=9877'").await;

        // A frame of the page, while all that goes on. It is for people to judge.
        client.goto(&url).await.unwrap();
        until(&client, "document.querySelector('.rows .row')").await;
        let frames = "return new Promise((done) => { const all = []; let last = performance.now(); const frame = (at) => { \
            all.push(at - last); last = at; scrollBy(0, 40); all.length < 180 ? requestAnimationFrame(frame) : \
            done(all.sort((a, b) => a - b).slice(-1)[0]) }; requestAnimationFrame(frame) })";
        println!("the longest frame of 180 took {} ms", script(&client, frames).await);
    })
    .await;
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    calls.join().unwrap();
    serving.stop();
}

#[tokio::test]
async fn a_server_that_restarts_is_picked_up_again() {
    let payments = breaker("payments");
    let serving = Console::new().breaker(payments.clone()).serve("127.0.0.1:0").unwrap();
    let (url, address) = (serving.url(), serving.local_addr());
    with_browser(Screen::default(), |client| async move {
        client.goto(&url).await.unwrap();
        until_row(&client, "payments", "Closed").await;
        until(&client, "document.getElementById('live').textContent === 'live'").await;
        script(&client, "window.isTheSame = true").await;
        tokio::task::spawn_blocking(|| serving.stop()).await.unwrap();
        until(&client, "document.getElementById('live').textContent === 'reconnecting'").await;

        let other = breaker("other");
        other.force_open();
        let again = Console::new().breaker(other).serve(address).unwrap();
        until_row(&client, "other", "Forced open").await;
        until(&client, "document.getElementById('live').textContent === 'live'").await;
        assert_eq!(script(&client, "return document.querySelectorAll('.rows .row').length").await, 1);
        assert_eq!(script(&client, "return window.isTheSame").await, true);
        tokio::task::spawn_blocking(|| again.stop()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn everything_is_there_on_a_phone() {
    let payments = breaker("payments");
    payments.open_for(Duration::from_secs(600));
    payments.try_acquire().unwrap_err();
    let hosts: Arc<Registry<u32>> = Arc::new(Registry::new("hosts"));
    for key in 0..50 {
        hosts.get(&key);
    }
    let serving = full(Console::new().breaker(payments.clone()).registry(hosts)).serve("127.0.0.1:0").unwrap();
    let url = serving.url();
    let phone = Screen { is_phone: true, ..Screen::default() };
    with_browser(phone, |client| async move {
        client.goto(&url).await.unwrap();
        until_row(&client, "payments", "Open").await;
        assert_eq!(script(&client, "return innerWidth").await, 390);
        let fits = "return document.documentElement.scrollWidth <= innerWidth";
        assert_eq!(script(&client, fits).await, true);
        // No row lies over the next one.
        let overlaps = "return [...document.querySelectorAll('.rows .row')].filter((row) => row.scrollHeight > row.clientHeight + 1).length";
        assert_eq!(script(&client, overlaps).await, 0);
        click(&client, ".rows .name a").await;
        until(&client, "document.querySelector('[data-action=force_open]')").await;
        assert_eq!(script(&client, fits).await, true);
        let small = "return [...document.querySelectorAll('.acts button')].filter((button) => button.clientHeight < 40).length";
        assert_eq!(script(&client, small).await, 0, "a thumb meets them");
        click(&client, "[data-action=force_open]").await;
        fill(&client, "#reason", "asleep").await;
        click(&client, "dialog [type=submit]").await;
        until_here(|| payments.state() == State::ForcedOpen).await;
    })
    .await;
    serving.stop();
}

#[tokio::test]
async fn everything_is_reached_by_the_keyboard() {
    let console = full(Console::new().breaker(breaker("apples")).breaker(breaker("pears")).breaker(breaker("plums")));
    let serving = console.serve("127.0.0.1:0").unwrap();
    let url = serving.url();
    with_browser(Screen::default(), |client| async move {
        client.goto(&url).await.unwrap();
        until_row(&client, "plums", "Closed").await;
        let press = async |keys: &str| client.active_element().await.unwrap().send_keys(keys).await.unwrap();
        press("/").await;
        assert_eq!(script(&client, "return document.activeElement.id").await, "search");
        press("p").await;
        until(&client, "location.hash === '#/?q=p'").await;
        until(&client, "document.querySelectorAll('.rows .row').length === 3").await;
        press(&String::from(char::from(Key::Down))).await;
        let focused = "return document.activeElement.textContent";
        assert_eq!(script(&client, focused).await, "apples");
        press(&String::from(char::from(Key::Down))).await;
        assert_eq!(script(&client, focused).await, "pears");
        press(&String::from(char::from(Key::Enter))).await;
        until(&client, "document.querySelector('h1')?.textContent === 'pears'").await;
        until(&client, "document.querySelector('.chart')").await;
        let chart = "const chart = document.querySelector('.chart'); chart.focus(); return chart.getAttribute('aria-label')";
        assert!(script(&client, chart).await.as_str().unwrap().starts_with("The last 10 minutes."));
        // The page may draw the chart anew, which loses the focus.
        let is_read = "return document.querySelector('.readout').textContent.includes('succeeded')";
        let begun = std::time::Instant::now();
        while script(&client, is_read).await != true {
            assert!(begun.elapsed() < Duration::from_secs(60), "the arrow keys read nothing");
            script(&client, "document.querySelector('.chart').focus()").await;
            press(&String::from(char::from(Key::Right))).await;
        }
        press(&String::from(char::from(Key::Escape))).await;
        until(&client, "!document.getElementById('overview').hidden").await;
        // Whatever can be pressed has a name.
        let nameless = "return [...document.querySelectorAll('a, button, input, [role=meter], [role=img]')]\
            .filter((element) => !(element.textContent.trim() || element.ariaLabel || element.querySelector('img'))).length";
        assert_eq!(script(&client, nameless).await, 0);
    })
    .await;
    serving.stop();
}

#[tokio::test]
async fn where_there_is_nothing_the_page_says_what_to_do() {
    let serving = Console::new().serve("127.0.0.1:0").unwrap();
    let url = serving.url();
    with_browser(Screen::default(), |client| async move {
        client.goto(&url).await.unwrap();
        until(&client, "!document.getElementById('empty').hidden").await;
        let shown = text(&client, "#empty").await;
        assert!(shown.contains("No breakers yet") && shown.contains(".breaker(&PAYMENTS)"), "{shown}");
        client.goto(&format!("{url}#/breaker/nobody")).await.unwrap();
        until(&client, "document.getElementById('detail').textContent.includes('No breaker has this name')").await;
    })
    .await;
    serving.stop();
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn it_works_below_a_prefix_of_another_server() {
    let payments = breaker("payments");
    let app = axum::Router::new().nest("/ops/breakers", full(Console::new().breaker(payments.clone())).router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ops/breakers", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    with_browser(Screen::default(), |client| async move {
        client.goto(&url).await.unwrap();
        until_row(&client, "payments", "Closed").await;
        assert_eq!(
            script(&client, "return getComputedStyle(document.querySelector('.rows .row')).position").await,
            "absolute"
        );
        click(&client, ".rows .name a").await;
        click(&client, "[data-action=force_open]").await;
        fill(&client, "#reason", "below a prefix").await;
        click(&client, "dialog [type=submit]").await;
        until_here(|| payments.state() == State::ForcedOpen).await;
        click(&client, ".back").await;
        until_row(&client, "payments", "Forced open").await;
        assert_eq!(script(&client, "return location.pathname").await, "/ops/breakers");
    })
    .await;
    server.abort();
}

/// Makes the guide's pictures of a console that runs already, such as the demo:
/// `TRIPCOIL_CONSOLE=http://127.0.0.1:9000/ TRIPCOIL_PICTURES=docs/console cargo test .. -- --ignored pictures`
#[tokio::test]
#[ignore = "it needs a console that has something to show"]
async fn pictures() {
    let url = std::env::var("TRIPCOIL_CONSOLE").expect("the address of a console");
    let folder = std::env::var("TRIPCOIL_PICTURES").expect("a folder for the pictures");
    for (name, place, screen) in [
        ("overview", "#/", Screen::default()),
        ("overview-dark", "#/", Screen { is_dark: true, ..Screen::default() }),
        ("overview-phone", "#/", Screen { is_phone: true, ..Screen::default() }),
        ("breaker", "#/breaker/payments", Screen::default()),
        ("breaker-dark", "#/breaker/payments", Screen { is_dark: true, ..Screen::default() }),
        ("breaker-phone", "#/breaker/payments", Screen { is_phone: true, ..Screen::default() }),
        ("hold", "#/breaker/search", Screen::default()),
    ] {
        let (url, file) = (format!("{url}{place}"), format!("{folder}/{name}.png"));
        with_browser(screen, |client| async move {
            client.goto(&url).await.unwrap();
            until(&client, "document.querySelector('.rows .row, .chart .band')").await;
            if name == "hold" {
                click(&client, "[data-action=force_open]").await;
                fill(&client, "#reason", "the provider moves house").await;
                fill(&client, "#for", "30m").await;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            std::fs::write(file, client.screenshot().await.unwrap()).unwrap();
        })
        .await;
    }
}
