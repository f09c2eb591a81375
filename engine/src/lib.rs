//! The engine: a world, an order of systems, and a tick that is a function of both and of what arrived.
//!
//! [`Engine`] is pure: no clock, no socket, no disk, no randomness of its own. Everything impure is in
//! [`runtime`].

#![forbid(unsafe_code)]

pub mod authority;
pub mod certificate;
pub mod cli;
pub mod client;
pub mod config;
pub mod control;
pub mod demo;
pub mod doctor;
pub mod logging;
pub mod run;
pub mod runtime;
pub mod schedule;
pub mod translate;
pub mod upstream;
pub mod verify;
pub mod world;

use bevy_ecs::schedule::Schedule;
use bevy_ecs::world::World;
use warppool_components::inbox::{Inbox, Now};
use warppool_components::outbox::Outbox;
use warppool_components::record::Restored;
use warppool_components::settings::Settings;
use warppool_systems::hash::Hashing;
use warppool_systems::resources::{Incoming, Moment, Outgoing, Policy, WorkSource};

/// The pool without its surroundings.
///
/// The caller gives `tick` the moment and all that arrived since the last one, and carries out what is in the outbox:
/// blocks first, then writes in their order, then closes, then everything else. When nothing arrives it ticks again
/// at [`Outbox::wake_at`]. The same start and the same sequence of ticks give the same world and the same outboxes.
pub struct Engine {
    world: World,
    schedule: Schedule,
}

impl Engine {
    /// A pool that knows what the store remembered. `seed` decides which extranonces and session ids are handed out;
    /// it must differ from one start to the next.
    pub fn new(settings: Settings, seed: u64, restored: Restored, now: Now) -> Self {
        let mut world = world::build(settings, seed, restored, now);
        let mut schedule = schedule::build();
        schedule.initialize(&mut world).expect("the order of systems is complete and free of cycles; a test says so");
        Self { world, schedule }
    }

    /// Hashes in this way from now on. What comes out does not depend on it.
    pub fn set_hashing(&mut self, hashing: Hashing) {
        self.world.insert_resource(hashing);
    }

    /// Work comes from another pool from now on. Before the first tick: what miners are told of their extranonce depends on it.
    pub fn take_work_from_upstream(&mut self) {
        let wanted = self.world.resource::<Policy>().0.vardiff.clone();
        self.world.insert_resource(WorkSource::Upstream { wanted });
    }

    /// Takes everything out of `inbox` and fills `outbox`, whose former content is dropped.
    pub fn tick(&mut self, now: Now, inbox: &mut Inbox, outbox: &mut Outbox) {
        outbox.clear();
        self.world.resource_mut::<Moment>().0 = now;
        std::mem::swap(&mut self.world.resource_mut::<Incoming>().0, inbox);
        std::mem::swap(&mut self.world.resource_mut::<Outgoing>().0, outbox);
        self.schedule.run(&mut self.world);
        self.world.clear_trackers();
        std::mem::swap(&mut self.world.resource_mut::<Incoming>().0, inbox);
        std::mem::swap(&mut self.world.resource_mut::<Outgoing>().0, outbox);
        inbox.clear();
    }

    /// The world, for tests and tools that look inside.
    pub fn world(&mut self) -> &mut World {
        &mut self.world
    }
}
