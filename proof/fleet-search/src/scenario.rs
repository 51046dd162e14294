//! What may happen, to how many members, and what has to hold.

use stateright::{Model, Property};

use crate::world::{self, Budget, World};

/// A fleet at the start of a search.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    start: World,
    /// What has to be seen for the search to say anything.
    wanted: &'static [Property<Scenario>],
}

/// One step. Members, messages and batches are named by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Tick {
        paused: Option<usize>,
    },
    Trip(usize),
    ProbeEnds(usize),
    /// The batch reaches the store, and the reply the member.
    Deliver(usize),
    /// The batch reaches the store, and the reply takes a tick longer, or is lost.
    Answer(usize),
    Delay(usize),
    Lose(usize),
    Stray(usize),
    DeliverStray(usize),
    Hear(usize),
    /// Before an earlier one.
    HearEarly(usize, usize),
    DelayMail(usize, usize),
    HearTwice(usize, usize),
    Miss(usize, usize),
    Repair,
    Die(usize),
    Forget,
}

impl Step {
    fn is_fault(self) -> bool {
        !matches!(
            self,
            Step::Tick { paused: None }
                | Step::Trip(_)
                | Step::ProbeEnds(_)
                | Step::Deliver(_)
                | Step::DeliverStray(_)
                | Step::Hear(_)
                | Step::Repair
                | Step::Die(_)
                | Step::Forget
        )
    }
}

fn faulty_steps(world: &World, index: usize, steps: &mut Vec<Step>) {
    if world.travels(index) {
        steps.push(Step::Lose(index));
    }
    if world.may_delay(index) {
        steps.extend([Step::Answer(index), Step::Delay(index)]);
    }
    if world.may_stray(index) {
        steps.push(Step::Stray(index));
    }
    for mail in 0..world.members[index].mail.len() {
        steps.extend([Step::DelayMail(index, mail), Step::HearTwice(index, mail), Step::Miss(index, mail)]);
        if mail > 0 {
            steps.push(Step::HearEarly(index, mail));
        }
    }
    if world.budget.ticks > 0 && world.may_tick() {
        steps.push(Step::Tick { paused: Some(index) });
    }
}

impl Model for Scenario {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![self.start.clone()]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        let Budget { faults, deaths, forgets, ticks } = world.budget;
        if ticks > 0 && world.may_tick() {
            steps.push(Step::Tick { paused: None });
        }
        if !world.is_up {
            steps.push(Step::Repair);
        }
        if forgets > 0 {
            steps.push(Step::Forget);
        }
        for (index, member) in world.members.iter().enumerate().filter(|(_, member)| member.died.is_none()) {
            if !world.is_up && world.is_closed(index) {
                steps.push(Step::Trip(index));
            }
            if world.is_half_open(index) {
                steps.push(Step::ProbeEnds(index));
            }
            if world.travels(index) {
                steps.push(Step::Deliver(index));
            }
            if !member.mail.is_empty() {
                steps.push(Step::Hear(index));
            }
            if deaths > 0 {
                steps.push(Step::Die(index));
            }
            if faults > 0 {
                faulty_steps(world, index, steps);
            }
        }
        steps.extend((0..world.strays.len()).map(Step::DeliverStray));
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        next.budget.faults -= u8::from(step.is_fault());
        match step {
            Step::Tick { paused } => {
                next.budget.ticks -= 1;
                next.tick(paused);
            }
            Step::Trip(index) => next.trip(index),
            Step::ProbeEnds(index) => next.end_probe(index),
            Step::Deliver(index) => next.deliver(index),
            Step::Answer(index) => {
                next.arrive(index);
                next.delay(index);
            }
            Step::Delay(index) => next.delay(index),
            Step::Lose(index) => next.lose(index, false),
            Step::Stray(index) => next.lose(index, true),
            Step::DeliverStray(stray) => next.deliver_stray(stray),
            Step::Hear(index) => next.hear(index, 0, false),
            Step::HearEarly(index, mail) => next.hear(index, mail, false),
            Step::DelayMail(index, mail) => next.delay_mail(index, mail),
            Step::HearTwice(index, mail) => next.hear(index, mail, true),
            Step::Miss(index, mail) => next.miss(index, mail),
            Step::Repair => next.is_up = true,
            Step::Die(index) => {
                next.budget.deaths -= 1;
                next.die(index);
            }
            Step::Forget => {
                next.budget.forgets -= 1;
                next.forget();
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("1: at most one member probes at any instant", |_, world: &World| world.probers() <= 1),
            Property::always(world::QUORUM, |_, world: &World| world.broken != Some(world::QUORUM)),
            Property::always(world::PLACE_RETURNS, |_, world: &World| world.broken != Some(world::PLACE_RETURNS)),
            Property::always(world::REFUSED, |_, world: &World| world.broken != Some(world::REFUSED)),
            Property::always(world::LATE, |_, world: &World| world.broken != Some(world::LATE)),
        ];
        properties.extend(self.wanted.iter().cloned());
        properties
    }
}

const fn seen(name: &'static str, is_so: fn(&Scenario, &World) -> bool) -> Property<Scenario> {
    Property { expectation: stateright::Expectation::Sometimes, name, condition: is_so }
}

const OPENS: Property<Scenario> = seen("the fleet opens", |_, world| world::is_open(&world.view()));
const PROBES: Property<Scenario> = seen("a member probes", |_, world| world.probers() == 1);
const REFUSED: Property<Scenario> = seen("a lease is refused", |_, world| world.seen.refused_lease);
const LATE: Property<Scenario> = seen("a verdict is late", |_, world| world.seen.late_verdict);
const REPLACED: Property<Scenario> = seen("a dead prober is replaced", |_, world| world.seen.dead_prober_replaced);
const DEAD_VOTE: Property<Scenario> =
    seen("the vote of a dead member meets another", |_, world| world.seen.vote_of_dead);
const CLOSES: Property<Scenario> =
    seen("the fleet closes by a verdict", |_, world| world.is_up && !world::is_open(&world.view()));

/// The scenarios; `is_long`: with more of everything, which takes minutes and gigabytes.
pub(crate) fn all(is_long: bool) -> Vec<Scenario> {
    let more = u8::from(is_long);
    let budget = |faults, deaths, forgets, ticks| Budget { faults, deaths, forgets, ticks };
    vec![
        Scenario {
            name: "two members trip, and one dies",
            start: World::new(2, budget(0, 1, 0, 6 + more)),
            wanted: &[OPENS, DEAD_VOTE],
        },
        Scenario {
            name: "two members of an open fleet, with faults",
            start: World::opened(2, budget(1, 0, 0, 6 + 2 * more)),
            wanted: &[PROBES, REFUSED, LATE, CLOSES],
        },
        Scenario {
            name: "three members of an open fleet, and one dies",
            start: World::opened(3, budget(0, 1, 0, 5 + more)),
            wanted: &[PROBES, REPLACED, CLOSES],
        },
        Scenario {
            name: "two members of an open fleet whose store forgets",
            start: World::opened(2, budget(0, 0, 1, 6 + more)),
            wanted: &[PROBES],
        },
    ]
}
