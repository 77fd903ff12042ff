//! What an API server has to do, as cases that say what is asked and what must come back. The same list runs against the embedded server
//! and against a real one; what was said in each case is written down, so that two servers can be compared word by word.

#![allow(
    clippy::indexing_slicing,
    reason = "all of it is tests; a JSON value is indexed here, which gives null for what is absent"
)]

mod apply;
mod definitions;
mod deletion;
mod lists;
mod objects;
mod patches;
mod place;
mod status;
mod transcript;
mod watches;

use std::time::Duration;

use anyhow::{Result, anyhow};
use futures::future::BoxFuture;
use kube::Client;

pub use definitions::prepare;
pub use place::{Answer, Place};

/// The longest that a case may take.
const CASE_MAX: Duration = Duration::from_secs(40);

/// One thing that a server must do.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    run: fn(&Place) -> BoxFuture<'_, Result<()>>,
}

/// How a case ended.
pub struct Outcome {
    pub name: &'static str,
    /// What was said, with all that differs from run to run replaced.
    pub transcript: Vec<String>,
    pub failure: Option<String>,
}

impl Case {
    /// Runs the case in a new namespace.
    pub async fn run(&self, client: &Client) -> Outcome {
        let place = match Place::begin(client, self.name).await {
            Ok(place) => place,
            Err(error) => {
                return Outcome { name: self.name, transcript: Vec::new(), failure: Some(format!("{error:#}")) };
            }
        };
        let result = tokio::time::timeout(CASE_MAX, (self.run)(&place)).await;
        let result = result.unwrap_or_else(|_| Err(anyhow!("not done in {CASE_MAX:?}")));
        let ended = place.end().await;
        let failure = result.and(ended).err().map(|error| format!("{error:#}"));
        Outcome { name: self.name, transcript: place.transcript(), failure }
    }
}

macro_rules! cases {
    ($($module:ident: $($name:ident),+ $(,)?;)+) => {
        /// All of them.
        pub const CASES: &[Case] = &[$($(
            Case { name: stringify!($name), run: |place| Box::pin($module::$name(place)) },
        )+)+];
    };
}

cases! {
    objects:
        a_new_object_gets_uid_version_and_time,
        a_name_that_is_taken_is_refused,
        an_object_that_is_not_there_is_not_found,
        a_namespace_that_is_not_there_is_not_found,
        an_object_of_another_namespace_is_refused,
        a_name_that_is_no_name_is_refused,
        an_object_without_a_name_is_refused,
        a_name_is_generated,
        a_generated_name_has_63_characters_at_most,
        a_dry_run_stores_nothing,
        another_dry_run_is_refused,
        a_new_object_with_a_version_is_refused,
        an_object_of_another_kind_is_refused,
        broken_json_is_refused,
        a_stale_put_is_a_conflict,
        a_put_of_the_newest_version_is_taken,
        a_put_without_a_version_is_taken,
        a_custom_resource_needs_a_version_to_be_put,
        a_put_under_another_name_is_refused,
        a_put_of_what_is_not_there_is_not_found,
        a_lease_is_created_by_put,
        a_put_that_changes_nothing_keeps_the_version,
        a_put_for_another_uid_is_a_conflict,
        a_label_that_is_none_is_refused,
        a_method_that_makes_no_sense_is_refused,
        a_body_of_another_media_type_is_refused,
        an_unknown_field_is_refused_when_asked_strictly,
        a_replica_set_is_completed,
        a_pod_is_completed,
        a_service_gets_an_address_and_keeps_it,
        a_selector_must_match_and_never_changes,
        a_pods_spec_does_not_change,
        an_event_with_a_time_is_whole_and_short,
        an_event_is_in_the_namespace_of_what_it_is_about;
    patches:
        a_null_in_a_merge_patch_removes,
        a_stale_merge_patch_is_a_conflict,
        a_failed_test_is_unprocessable,
        a_json_patch_applies_in_order,
        a_test_for_null_passes_where_nothing_is,
        a_json_patch_that_is_none_is_refused,
        a_strategic_patch_merges_containers_by_name,
        a_custom_resource_takes_no_strategic_patch,
        a_patch_does_not_rename,
        a_patch_of_what_is_not_there_is_not_found,
        a_patch_that_changes_nothing_keeps_the_version,
        a_dry_run_patch_changes_nothing;
    apply:
        an_apply_creates,
        an_apply_of_anothers_field_is_a_conflict,
        a_forced_apply_takes_the_field,
        what_is_not_applied_any_more_goes,
        an_apply_needs_a_manager,
        an_apply_without_change_keeps_the_version,
        lists_with_keys_are_merged,
        yaml_is_applied,
        a_status_is_applied_apart,
        force_is_for_applies_only;
    status:
        the_generation_counts_changes_of_the_spec,
        a_status_write_leaves_the_rest,
        another_write_leaves_the_status,
        a_new_object_has_no_status,
        a_replica_sets_status_is_written_apart,
        a_scale_shows_and_changes_replicas,
        a_replica_set_is_scaled,
        a_negative_scale_is_refused,
        a_stale_status_is_a_conflict;
    deletion:
        a_deletion_tells_what_is_gone,
        a_deletion_of_what_is_not_there_is_not_found,
        a_finalizer_holds_an_object,
        no_finalizer_is_added_to_what_is_being_deleted,
        a_uid_guards_a_deletion,
        a_version_guards_a_deletion,
        a_dry_run_deletes_nothing,
        a_collection_is_deleted_by_label,
        dependents_go_with_their_owner,
        foreground_deletion_waits_for_dependents,
        orphans_stay,
        a_dependent_of_nobody_goes,
        a_pod_that_no_node_runs_goes_at_once,
        an_eviction_deletes_a_pod,
        a_namespace_takes_all_with_it,
        nothing_is_created_in_a_namespace_that_ends;
    lists:
        labels_select,
        a_name_selects,
        an_unknown_field_selects_nothing,
        events_are_selected_by_what_they_are_about,
        pages_add_up,
        a_page_shows_the_list_as_it_began,
        a_token_that_is_none_is_refused,
        an_earlier_version_is_listed_exactly,
        a_version_match_needs_a_version,
        objects_of_all_namespaces_are_listed,
        a_table_is_listed,
        a_custom_field_selects;
    watches:
        changes_come_in_order,
        a_watch_resumes_after_a_version,
        a_watch_from_nothing_begins_with_what_is_there,
        objects_move_in_and_out_of_a_selection,
        one_object_is_watched_by_name,
        a_watch_ends_in_time,
        initial_events_end_with_a_bookmark,
        a_forgotten_version_is_gone;
    definitions:
        unknown_fields_are_pruned,
        defaults_are_filled_in,
        a_null_is_dropped_unless_the_schema_allows_it,
        what_the_schema_forbids_is_refused,
        a_rule_sees_the_old_value,
        a_definition_is_served_and_goes_with_its_objects,
        a_definition_under_another_name_is_refused,
        a_defined_kind_is_discovered;
}
