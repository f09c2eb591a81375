//! The order of a tick, whole, in one place.

use bevy_ecs::schedule::{
    IntoScheduleConfigs, LogLevel, Schedule, ScheduleBuildSettings, ScheduleLabel, SingleThreadedExecutor,
};
use warppool_systems::{
    account, announce, assemble, block, conduct, hash, ingest, jobs, judge, parse, persist, publish, reap, reply,
    session, upstream, vardiff,
};

/// Label of the one schedule.
#[derive(ScheduleLabel, Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tick;

/// Systems in the order in which they run. The executor is single-threaded (0.3 us a tick against 17 to 37 us);
/// the heavy column spreads over the cores by itself. Two systems whose order does not follow from this list are
/// an error.
pub fn build() -> Schedule {
    let mut schedule = Schedule::new(Tick);
    schedule.set_executor(SingleThreadedExecutor::new());
    schedule.set_build_settings(ScheduleBuildSettings {
        ambiguity_detection: LogLevel::Error,
        hierarchy_detection: LogLevel::Error,
        ..ScheduleBuildSettings::default()
    });
    schedule.add_systems(
        (
            ingest::ingest,
            parse::parse,
            session::session,
            jobs::jobs,
            assemble::assemble,
            hash::hash,
            judge::judge,
            conduct::conduct,
            block::block,
            upstream::forward,
            account::account,
            (vardiff::vardiff, vardiff::ease).chain(),
            (reply::answer, reply::send, reply::send_ahead).chain(),
            announce::announce,
            reap::stop,
            persist::persist,
            publish::publish,
            reap::reap,
        )
            .chain(),
    );
    schedule
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_systems_without_an_order_would_be_an_error() {
        let mut world = bevy_ecs::world::World::new();
        let mut schedule = build();
        fn touches(_: bevy_ecs::system::ResMut<warppool_systems::resources::Owed>) {}
        schedule.add_systems(touches);
        assert!(schedule.initialize(&mut world).is_err());
        assert!(build().initialize(&mut bevy_ecs::world::World::new()).is_ok());
    }
}
