//! One call with its rounds of requests, the same for all kinds that may ask for some.

use super::checks;
use crate::Error;
use crate::fetch::{Answer, Request};

/// The host gives up a call after as many; more than any plugin needs.
const MAX_ROUNDS: usize = 8;

/// What a plugin answered.
pub(super) enum Round<A> {
    /// Requests, and the memory for the next call.
    Fetch(Vec<Request>, Vec<u8>),
    Ended(A),
}

/// Asks, with memory and answers, until there is something other than requests. The requests made are answered with it.
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
