//! [`Replay`]: who is told what the journal holds while it is opened.

use locum_model::{Committed, Event};

/// What is made of the events of a journal while it is opened.
///
/// Events of a snapshot come before all of it was checked, so that it is read once. Nothing that is made of
/// them may be acted upon, or be seen by anybody, before [`open`](crate::open) returned without an error.
pub trait Replay {
    /// The next events, in order, some at a time and never none.
    fn take(&mut self, events: &[Committed<Event>]);

    /// What came so far is of a snapshot that does not hold: whatever was made of it is to be dropped, all of it.
    /// What the journal holds comes now, from its beginning.
    fn start_over(&mut self);
}

/// Nobody is told.
impl Replay for () {
    fn take(&mut self, _events: &[Committed<Event>]) {}

    fn start_over(&mut self) {}
}

/// All of it.
impl Replay for Vec<Committed<Event>> {
    fn take(&mut self, events: &[Committed<Event>]) {
        self.extend_from_slice(events);
    }

    fn start_over(&mut self) {
        self.clear();
    }
}
