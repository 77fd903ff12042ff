//! The loop of calls and requests, for all kinds of plugins that may return requests.

use super::checks;
use crate::Error;
use crate::fetch::{Answer, Request};

/// The host's limit; more than any plugin needs.
const MAX_ROUNDS: usize = 8;

/// A plugin's answer.
pub(super) enum Round<A> {
    /// Requests, and the state for the next call.
    Fetch(Vec<Request>, Vec<u8>),
    Ended(A),
}

/// Calls, with state and answers, until the answer has no requests. Also returns the requests.
pub(super) fn rounds<A>(
    mut memory: Vec<u8>,
    server: &mut dyn FnMut(&Request) -> Answer,
    mut ask: impl FnMut(Vec<u8>, Vec<Answer>) -> Result<Round<A>, Error>,
) -> (Result<A, Error>, Vec<Request>) {
    let mut answers = Vec::new();
    let mut made = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let (requests, remembered) = match ask(memory, answers) {
            Ok(Round::Fetch(requests, memory)) => (requests, memory),
            Ok(Round::Ended(ended)) => return (Ok(ended), made),
            Err(error) => return (Err(error), made),
        };
        if let Err(error) = checks::fetching(&requests, &remembered) {
            return (Err(error), made);
        }
        answers = requests.iter().map(&mut *server).collect();
        memory = remembered;
        made.extend(requests);
    }
    (Err(Error::Internal(format!("asks for requests more than {MAX_ROUNDS} times"))), made)
}
