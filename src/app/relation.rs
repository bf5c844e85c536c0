//! The neighbour rule's settings as its options.

use std::time::Duration;

use super::Failure;
use crate::config::Settings;
use crate::feed::relation::lookup::ResolverOptions;
use crate::feed::relation::service::{Service, ServiceOptions};
use crate::feed::relation::{Relation, RelationOptions};

/// The rule; `None` where it is not enabled. Wants to be called within the runtime. Errors: there is no resolver to ask.
pub(super) fn rule(settings: &Settings) -> Result<Option<Relation>, Failure> {
    let relation = &settings.relation;
    if !relation.enabled {
        return Ok(None);
    }
    let options = RelationOptions {
        resolver: ResolverOptions {
            servers: relation.resolvers.clone(),
            cache_answers_max: relation.cache_answers_max.into(),
        },
        ipv6_prefix: relation.ipv6_prefix,
        time_max: Duration::from_millis(relation.time_ms_max.into()),
        questions_max: relation.questions_max as usize,
    };
    Ok(Some(Relation::new(options)?))
}

/// The policy service, bound; `None` where it is not enabled. Errors: an address or path that can not be used.
pub(super) fn service(settings: &Settings) -> Result<Option<Service>, Failure> {
    let relation = &settings.relation;
    if !relation.enabled || (relation.listen.is_empty() && relation.socket.is_none()) {
        return Ok(None);
    }
    let options = ServiceOptions {
        listen: relation.listen.clone(),
        socket: relation.socket.clone(),
        connections_max: relation.connections_max as usize,
        idle_max: Duration::from_secs(relation.idle.into()),
        joe_job_action: settings.feed.joe_jobs.action.clone(),
    };
    Ok(Some(Service::bind(options)?))
}
