//! A ReplicaSet as a revision, in the form in which plugins get it.

use crate::decision::Revision;
use crate::observed::ReplicaSet;

pub(super) fn of(replica_set: &ReplicaSet) -> Revision {
    Revision {
        hash: replica_set.hash().to_owned(),
        number: replica_set.revision(),
        desired: replica_set.replicas,
        created: replica_set.created_replicas,
        ready: replica_set.ready_replicas,
        available: replica_set.available_replicas,
    }
}
