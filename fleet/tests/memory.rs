//! Members that meet in a store within the process.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tripcoil::{CircuitBreaker, Config, Recovery, Registry, State};
use tripcoil_fleet::{By, Fleet, FleetBuilder, FleetEvent, Memory, Operator, OrderError, Quorum, Standing};

const MS: Duration = Duration::from_millis(1);

fn builder(store: &Memory) -> FleetBuilder {
    Fleet::builder("checkout").store(store.clone()).beat(200 * MS).lease(300 * MS)
}

fn breaker() -> Arc<CircuitBreaker> {
    let builder = CircuitBreaker::builder("db").error_threshold(1).success_threshold(1);
    Arc::new(builder.reset_timeout(300 * MS).build().unwrap())
}

struct Member {
    fleet: Fleet,
    breaker: Arc<CircuitBreaker>,
    events: Receiver<FleetEvent>,
}

fn member(store: &Memory) -> Member {
    let (sender, events) = channel();
    let fleet = builder(store).on_event(move |event| drop(sender.send(event.clone()))).build().unwrap();
    let breaker = breaker();
    fleet.join(&breaker);
    Member { fleet, breaker, events }
}

fn members(store: &Memory, many: usize) -> Vec<Member> {
    let members: Vec<_> = (0..many).map(|_| member(store)).collect();
    for member in &members {
        member.breaker.try_acquire().unwrap().success();
    }
    let all = |member: &Member| member.fleet.status().members == many as u64 && member.fleet.status().is_connected;
    wait_for("all are connected", || members.iter().all(all));
    members
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "this never came: {what}");
        std::thread::sleep(5 * MS);
    }
}

fn all_are(members: &[Member], state: State) -> bool {
    members.iter().all(|member| member.breaker.state() == state)
}

/// Whether all are closed, or within the steps of a slow close.
fn all_let_calls_pass(members: &[Member]) -> bool {
    members.iter().all(|member| member.breaker.state() == State::Closed || member.breaker.metrics().recovery.is_some())
}

#[test]
fn it_is_a_store() {
    tripcoil_fleet::testing::check_store(&Memory::new());
}

#[test]
fn a_quorum_opens_all_one_probes_and_all_close() {
    let store = Memory::new();
    let members = members(&store, 4);
    members[0].breaker.try_acquire().unwrap().failure();
    wait_for("one votes", || members[0].fleet.status().counts.votes == 1);
    std::thread::sleep(100 * MS);
    assert!(members[1..].iter().all(|member| member.breaker.state() == State::Closed), "one is no quorum");
    members[1].breaker.try_acquire().unwrap().failure();
    wait_for("all are open", || all_are(&members, State::Open));
    wait_for("the last one shows it", || {
        members[3].fleet.status().breakers.iter().any(|one| !one.fleets_hold.is_zero())
    });
    let status = members[3].fleet.status();
    assert_eq!((status.breakers[0].standing, &*status.breakers[0].name), (Standing::Held, "db"));
    assert_eq!(status.breakers[0].fleets_hold, 300 * MS);
    wait_for("all close", || {
        for member in &members {
            let _ = member.breaker.call_sync(|| Ok::<_, ()>(()));
        }
        all_let_calls_pass(&members)
    });
    let closing = members.iter().filter_map(|member| member.breaker.metrics().recovery).count();
    assert_eq!(closing, 3, "all but the prober close slowly");
    let elections: u64 = members.iter().map(|member| member.fleet.status().counts.elections).sum();
    assert_eq!(elections, 1, "one probed for all");
    let events: Vec<_> = members[2].events.try_iter().collect();
    let opened = events.iter().position(|event| matches!(event, FleetEvent::OpenedByFleet { .. }));
    assert!(opened.is_some(), "{events:?}");
}

#[test]
fn an_operators_order_holds_everywhere_until_it_is_released() {
    let store = Memory::new();
    let members = members(&store, 2);
    members[0].fleet.force_open("db", By::new("ana").because("a move")).unwrap();
    wait_for("all obey", || all_are(&members, State::ForcedOpen));
    // The status follows the breakers within some milliseconds.
    wait_for("all show the order", || members.iter().all(|member| !member.fleet.orders().is_empty()));
    let orders = members[1].fleet.orders();
    assert_eq!((&*orders[0].breaker, &*orders[0].by, &*orders[0].because), ("db", "ana", "a move"));
    assert!(orders[0].at.elapsed().unwrap() < Duration::from_secs(60));
    let late = member(&store);
    wait_for("who comes later obeys", || late.breaker.state() == State::ForcedOpen);
    late.breaker.release();
    wait_for("a local release is undone", || {
        late.events.try_iter().any(|event| matches!(event, FleetEvent::OrderOverridden { .. }))
    });
    assert_eq!(late.breaker.state(), State::ForcedOpen);
    members[1].fleet.release("db").unwrap();
    wait_for("all close slowly", || all_let_calls_pass(&members) && late.breaker.metrics().recovery.is_some());
    let step = members[0].breaker.metrics().recovery.unwrap();
    assert_eq!((step.step, step.steps), (1, 20));
    assert_eq!(members[0].fleet.release("db"), Err(OrderError::NoOrder("db".to_owned())));
}

#[test]
fn without_a_slow_close_all_close_at_once() {
    let store = Memory::new();
    let fleet = builder(&store).slow_close(Duration::ZERO).build().unwrap();
    let breaker = breaker();
    fleet.join(&breaker);
    wait_for("it is connected", || fleet.status().is_connected);
    fleet.force_open("db", By::new("ana").for_(300 * MS)).unwrap();
    wait_for("it obeys", || breaker.state() == State::ForcedOpen);
    wait_for("it ends", || breaker.state() != State::ForcedOpen);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_prober_with_a_recovery_of_its_own_gives_its_verdict_before_it_is_through_with_it() {
    let store = Memory::new();
    let members = members(&store, 2);
    for member in &members {
        let recovery = Recovery::ramp(Duration::from_secs(3600));
        let mut config = Config::default().error_threshold(1).success_threshold(1).reset_timeout(300 * MS);
        config.recovery = Some(recovery);
        member.breaker.reconfigure(config).unwrap();
        member.breaker.try_acquire().unwrap().failure();
    }
    wait_for("the fleet closes", || {
        for member in &members {
            let _ = member.breaker.call_sync(|| Ok::<_, ()>(()));
        }
        let verdicts = members[0].events.try_iter().chain(members[1].events.try_iter());
        verdicts.filter(|event| matches!(event, FleetEvent::Verdict { is_ok: true, .. })).count() == 1
    });
    wait_for("both close slowly", || members.iter().all(|member| member.breaker.metrics().recovery.is_some()));
    wait_for("nobody is held", || members.iter().all(|member| member.fleet.status().breakers.is_empty()));
}

#[test]
fn an_order_ends_by_itself() {
    let store = Memory::new();
    let members = members(&store, 2);
    members[0].fleet.force_closed("db", By::new("ana").for_(300 * MS)).unwrap();
    wait_for("all obey", || all_are(&members, State::ForcedClosed));
    wait_for("it ends", || all_are(&members, State::Closed));
    wait_for("it is listed no more", || members.iter().all(|member| member.fleet.orders().is_empty()));
}

#[test]
fn an_order_for_a_breaker_of_others_is_listed() {
    let store = Memory::new();
    let members = members(&store, 1);
    members[0].fleet.force_open(("hosts", "down.example"), By::new("ana")).unwrap();
    wait_for("it is listed", || members[0].fleet.orders().iter().any(|order| order.breaker == "hosts/down.example"));
}

#[test]
fn without_its_store_a_breaker_goes_on_and_the_loss_is_told() {
    let store = Memory::new();
    let members = members(&store, 2);
    store.go_down();
    wait_for("the loss is told", || {
        members[0].events.try_iter().any(|event| matches!(event, FleetEvent::StoreLost { .. }))
    });
    assert_eq!(members[0].fleet.force_open("db", By::new("ana")), Err(OrderError::NotConnected));
    members[0].breaker.try_acquire().unwrap().failure();
    assert_eq!(members[0].breaker.state(), State::Open);
    wait_for("it closes by its own probe", || {
        let _ = members[0].breaker.call_sync(|| Ok::<_, ()>(()));
        members[0].breaker.state() == State::Closed
    });
    store.come_back();
    wait_for("it is back", || members.iter().all(|member| member.fleet.status().is_connected));
}

#[test]
fn the_store_may_be_down_at_the_start() {
    let store = Memory::new();
    store.go_down();
    let member = member(&store);
    std::thread::sleep(100 * MS);
    assert!(!member.fleet.status().is_connected);
    store.come_back();
    wait_for("it connects", || member.fleet.status().is_connected);
}

#[test]
fn a_registry_joins_with_all_that_it_makes_and_evicts() {
    static HOSTS: LazyLock<Registry<String>> = LazyLock::new(|| {
        let template = CircuitBreaker::builder("hosts").error_threshold(1);
        Registry::builder(template).capacity(2).build().unwrap()
    });
    let store = Memory::new();
    let (one, other) = (builder(&store).build().unwrap(), builder(&store).quorum(Quorum::count(1)).build().unwrap());
    HOSTS.get("early");
    one.join_registry(&HOSTS);
    wait_for("what was there has joined", || one.status().joined == 1);
    HOSTS.get("late");
    wait_for("what comes later has joined", || one.status().joined == 2);
    wait_for("both are connected", || one.status().is_connected && other.status().is_connected);
    other.force_open(("hosts", "late"), By::new("ana")).unwrap();
    wait_for("a key obeys", || HOSTS.get("late").state() == State::ForcedOpen);
    HOSTS.remove("early");
    wait_for("what is removed has left", || one.status().joined == 1);
    drop(one);
    HOSTS.get("later");
}

#[test]
fn a_breaker_that_is_dropped_is_forgotten() {
    let store = Memory::new();
    let Member { fleet, breaker, .. } = member(&store);
    wait_for("it has joined", || fleet.status().joined == 1);
    drop(breaker);
    wait_for("it is forgotten", || fleet.status().joined == 0);
}

#[test]
fn a_second_breaker_of_one_name_does_not_join_and_that_is_told() {
    let store = Memory::new();
    let member = member(&store);
    member.fleet.join(&member.breaker);
    let second = breaker();
    member.fleet.join(&second);
    let nameless = Arc::new(CircuitBreaker::new(""));
    member.fleet.join(&nameless);
    let mut told = Vec::new();
    wait_for("both are told", || {
        told.extend(member.events.try_iter().filter_map(|event| match event {
            FleetEvent::NotJoined { breaker, .. } => Some(breaker),
            _ => None,
        }));
        told.len() == 2
    });
    assert_eq!(told, ["db", ""]);
    wait_for("the first one has joined", || member.fleet.status().joined == 1);
}

#[test]
fn an_observer_may_panic_ask_for_the_status_and_drop_the_fleet() {
    let store = Memory::new();
    store.go_down();
    let fleet = Arc::new(parking_lot::Mutex::new(Some(builder(&store).build().unwrap())));
    let (inner, (sender, ended)) = (fleet.clone(), channel());
    fleet.lock().as_ref().unwrap().on_event(|_| panic!("not mine"));
    fleet.lock().as_ref().unwrap().on_event(move |_| {
        let Some(fleet) = inner.lock().take() else { return };
        let _ = fleet.status();
        drop(fleet);
        let _ = sender.send(());
    });
    store.come_back();
    ended.recv_timeout(Duration::from_secs(20)).expect("it is dropped");
}

#[test]
fn a_fleet_that_is_dropped_leaves_and_its_breaker_goes_on_alone() {
    let store = Memory::new();
    let mut members = members(&store, 2);
    let Member { fleet, breaker, .. } = members.remove(0);
    drop(fleet);
    wait_for("it has left", || members[0].fleet.status().members == 1);
    breaker.try_acquire().unwrap().failure();
    assert_eq!(breaker.state(), State::Open);
    wait_for("it closes by its own probe", || {
        let _ = breaker.call_sync(|| Ok::<_, ()>(()));
        breaker.state() == State::Closed
    });
    // Orders do not reach it any more, and its transitions reach nobody.
    members[0].fleet.force_open("db", By::new("ana")).unwrap();
    wait_for("the other one obeys", || members[0].breaker.state() == State::ForcedOpen);
    assert_eq!(breaker.state(), State::Closed);
}

/// A store that takes a batch and does not answer until it is told to.
struct Hanging(Memory, Arc<std::sync::Barrier>);

struct HangingConnection(Arc<std::sync::Barrier>);

impl tripcoil_fleet::Store for Hanging {
    fn connect(&self) -> Result<Box<dyn tripcoil_fleet::Connection>, tripcoil_fleet::StoreError> {
        Ok(Box::new(HangingConnection(self.1.clone())))
    }

    fn listen(
        &self,
        fleet: &str,
        listener: &mut dyn tripcoil_fleet::Listener,
    ) -> Result<(), tripcoil_fleet::StoreError> {
        self.0.listen(fleet, listener)
    }
}

impl tripcoil_fleet::Connection for HangingConnection {
    fn run(
        &mut self,
        _: &str,
        _: &str,
        _: &[tripcoil_fleet::protocol::Op],
    ) -> Result<tripcoil_fleet::protocol::Reply, tripcoil_fleet::StoreError> {
        self.0.wait();
        self.0.wait();
        Err(tripcoil_fleet::StoreError::new("it has hung"))
    }
}

#[test]
fn a_fleet_whose_store_hangs_can_be_dropped_and_its_breaker_works() {
    let barrier = Arc::new(std::sync::Barrier::new(2));
    let store = Hanging(Memory::new(), barrier.clone());
    let fleet = Fleet::builder("checkout").store(store).command_timeout(50 * MS).build().unwrap();
    let breaker = breaker();
    fleet.join(&breaker);
    barrier.wait();
    // The worker waits for the store from here on.
    breaker.try_acquire().unwrap().failure();
    assert_eq!(breaker.state(), State::Open);
    drop(fleet);
    barrier.wait();
}

#[test]
fn members_with_different_settings_show_whose_hold() {
    let store = Memory::new();
    let members = [300 * MS, Duration::from_secs(5)].map(|reset| {
        let fleet = builder(&store).build().unwrap();
        let breaker = CircuitBreaker::builder("db").error_threshold(1).reset_timeout(reset).build().unwrap();
        let breaker = Arc::new(breaker);
        fleet.join(&breaker);
        breaker.try_acquire().unwrap().success();
        (fleet, breaker)
    });
    wait_for("both are connected", || {
        members.iter().all(|(fleet, _)| fleet.status().members == 2 && fleet.status().is_connected)
    });
    members[0].1.try_acquire().unwrap().failure();
    // The store has it: a vote that has only been cast may still arrive as the second.
    wait_for("one votes", || members[0].0.status().breakers.iter().any(|one| one.votes == 1));
    members[1].1.try_acquire().unwrap().failure();
    wait_for("both are held", || {
        members.iter().all(|(fleet, _)| fleet.status().breakers.iter().any(|one| one.standing == Standing::Held))
    });
    let status = members[0].0.status();
    // The second vote decided.
    assert_eq!(status.breakers[0].fleets_hold, Duration::from_secs(5));
    assert_eq!(status.breakers[0].own_hold, 300 * MS);
}

/// A store that panics in every way.
struct Bomb;

impl tripcoil_fleet::Store for Bomb {
    fn connect(&self) -> Result<Box<dyn tripcoil_fleet::Connection>, tripcoil_fleet::StoreError> {
        panic!("no connection");
    }

    fn listen(&self, _: &str, listener: &mut dyn tripcoil_fleet::Listener) -> Result<(), tripcoil_fleet::StoreError> {
        listener.subscribed();
        panic!("no ear");
    }
}

#[test]
fn a_store_that_panics_is_one_that_cannot_be_reached() {
    let fleet = Fleet::builder("checkout").store(Bomb).build().unwrap();
    wait_for("it is tried again", || fleet.status().counts.store_errors > 2);
    assert!(!fleet.status().is_connected);
}

#[test]
fn breakers_that_come_and_go_in_masses_leave_nothing_behind() {
    let store = Memory::new();
    let fleet = builder(&store).build().unwrap();
    let template = CircuitBreaker::builder("hosts").error_threshold(1);
    let hosts: Registry<u64> = Registry::builder(template).capacity(50).build().unwrap();
    fleet.join_registry(&hosts);
    for key in 0..20_000 {
        let _ = hosts.call_sync(&key, || Ok::<_, ()>(()));
    }
    wait_for("those that are listed have joined", || fleet.status().joined == 50);
    assert_eq!(fleet.status().counts.dropped, 0);
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let store = Memory::new();
    let refused = [
        (Fleet::builder("").store(store.clone()), "name"),
        (Fleet::builder("x"), "store"),
        (builder(&store).instance(""), "instance"),
        (builder(&store).quorum(Quorum::share(0.0)), "quorum"),
        (builder(&store).quorum(Quorum::share(f64::NAN)), "quorum"),
        (builder(&store).quorum(Quorum::share(0.5).at_least(1)), "quorum"),
        (builder(&store).quorum(Quorum::count(0)), "quorum"),
        (builder(&store).beat(MS), "beat"),
        (builder(&store).member_ttl(300 * MS), "member_ttl"),
        (builder(&store).lease(MS), "lease"),
        (builder(&store).command_timeout(Duration::ZERO), "command_timeout"),
        (builder(&store).slow_close(199 * MS), "slow_close"),
        (builder(&store).slow_close(Duration::from_secs(3601)), "slow_close"),
    ];
    for (builder, setting) in refused {
        let shown = format!("{builder:?}");
        let error = builder.build().expect_err(&shown);
        assert_eq!(error.setting, setting, "{error}");
    }
    let member = member(&store);
    for by in [
        By::new(""),
        By::new("x".repeat(101)),
        By::new("x").because("x".repeat(301)),
        By::new("x").for_(Duration::ZERO),
    ] {
        let error = member.fleet.force_open("db", by).unwrap_err();
        assert!(matches!(error, OrderError::OutOfRange { .. }), "{error}");
    }
    let error = member.fleet.release("x".repeat(513)).unwrap_err();
    assert!(matches!(error, OrderError::OutOfRange { .. }), "{error}");
}

#[test]
fn a_handle_reads_and_operates_until_the_fleet_is_dropped() {
    let store = Memory::new();
    let Member { fleet, breaker, .. } = member(&store);
    let hosts: Arc<Registry<String>> = Arc::new(Registry::new("eu/hosts"));
    fleet.join_registry(&hosts);
    hosts.get("a/b");
    let handle = fleet.handle();
    wait_for("it is connected", || handle.status().is_connected);
    wait_for("both have joined", || handle.has_joined("db") && handle.has_joined(("eu/hosts", "a/b")));
    assert!(!handle.has_joined("eu/hosts/a/b"), "that is a breaker of its own, of this name");
    handle.force_open(("eu/hosts", "a/b"), By::new("ana")).unwrap();
    let order = handle.orders().remove(0);
    assert_eq!(order.breaker, "eu/hosts/a/b");
    assert_eq!((order.id.registry().as_deref(), &*order.id.breaker()), (Some("eu/hosts"), "a/b"));
    assert_eq!(hosts.get("a/b").state(), State::ForcedOpen);
    drop(hosts);
    handle.release(("eu/hosts", "a/b")).unwrap();
    handle.reset("db").unwrap();
    let status = handle.status();
    assert_eq!((status.quorum, status.store_error.as_deref()), (Quorum::default(), None));

    store.go_down();
    wait_for("the error is told", || handle.status().store_error.is_some());
    assert_eq!(handle.force_closed("db", By::new("ana")), Err(OrderError::NotConnected));
    store.come_back();
    wait_for("it is back", || handle.status().is_connected && handle.status().store_error.is_none());

    drop(fleet);
    assert!(!handle.status().is_connected && !handle.has_joined("db"));
    assert_eq!(handle.force_open("db", By::new("ana")), Err(OrderError::NotConnected));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_member_knows_who_probes() {
    let store = Memory::new();
    let named = |name: &str| {
        let fleet = builder(&store).instance(name).quorum(Quorum::count(1)).build().unwrap();
        let breaker = breaker();
        fleet.join(&breaker);
        (fleet, breaker)
    };
    let members = [named("pod 1"), named("pod 2")];
    wait_for("all are connected", || members.iter().all(|(fleet, _)| fleet.status().members == 2));
    members[0].1.try_acquire().unwrap().failure();
    wait_for("all are open", || members.iter().all(|(_, breaker)| breaker.state() == State::Open));
    let mut probe = None;
    wait_for("one probes", || {
        probe = members[0].1.try_acquire().ok();
        let _ = probe.is_none() && members[1].1.try_acquire().is_ok();
        members.iter().all(|(fleet, _)| fleet.status().breakers.iter().any(|breaker| breaker.prober.is_some()))
    });
    let probers: Vec<_> = members.iter().map(|(fleet, _)| fleet.status().breakers[0].prober.clone().unwrap()).collect();
    assert_eq!(probers[0], probers[1]);
    assert!(["pod 1", "pod 2"].contains(&&*probers[0]), "{probers:?}");
}

#[test]
fn an_operator_reads_all_pages_and_acts_without_being_a_member() {
    let store = Memory::new();
    let mut operator = Operator::connect("checkout", store.clone()).unwrap();
    for number in 0..600 {
        operator.force_closed(("hosts", &*format!("db-{number}")), By::new("ana")).unwrap();
    }
    operator.release(("hosts", "db-7")).unwrap();
    let overview = operator.overview().unwrap();
    assert_eq!((overview.members, overview.breakers.len(), overview.changes), (0, 599, 601));
    let name = overview.breakers[0].breaker();
    assert_eq!((name.registry().as_deref(), &*name.breaker()), (Some("hosts"), "db-0"));
    let member = member(&store);
    wait_for("it is connected", || member.fleet.status().is_connected);
    operator.force_open("db", By::new("ana").because("a move")).unwrap();
    wait_for("it obeys", || member.breaker.state() == State::ForcedOpen);
    assert_eq!(operator.overview().unwrap().members, 1);
    assert_eq!(operator.show("db").unwrap().order.unwrap().because, "a move");
    operator.reset("db").unwrap();
    wait_for("it is reset", || member.breaker.state() == State::Closed);
    assert_eq!(operator.release("db"), Err(OrderError::NoOrder("db".to_owned())));

    let (sender, heard) = channel();
    let follower = Operator::connect("checkout", store.clone()).unwrap();
    let subscribed = sender.clone();
    let following = std::thread::spawn(move || {
        let said = || subscribed.send(String::new()).unwrap();
        follower.follow(said, |view| {
            sender.send(view.name).unwrap();
            false
        })
    });
    assert_eq!(heard.recv().unwrap(), "");
    operator.force_open("other", By::new("ana")).unwrap();
    assert_eq!(heard.recv().unwrap(), "other");
    assert_eq!(following.join().unwrap(), Ok(()));
    store.go_down();
    assert!(matches!(operator.show("db"), Err(OrderError::NoAnswer(_))));
}
