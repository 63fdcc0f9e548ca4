//! [`Decoder`]: event after event, each over what the ones before have left.

use std::sync::Arc;

use locum_model::event::TaskStarted;
use locum_model::{Event, IssueRecord};

use super::brief::{Brief, Made, Ring};
use super::direct::{self, Plain};
use super::wire::Wire;
use super::{DecodeError, decode};

/// Records kept to be written over: as many as lie between the two threads of a recovery.
const SPARES_MAX: usize = 1 << 13;

/// Decodes events. What it makes of some bytes does not depend on what it decoded before, but in a snapshot, where
/// it depends on what stands before in it; how fast does.
#[derive(Default)]
pub(crate) struct Decoder {
    /// A record and a beginning, to begin others from: most of their texts are the same.
    record: Option<IssueRecord>,
    started: Option<TaskStarted>,
    /// Records that nobody else has.
    spares: Vec<Arc<IssueRecord>>,
    /// What the snapshot that is read has shown so far.
    records: Ring<IssueRecord>,
    beginnings: Ring<TaskStarted>,
}

impl Decoder {
    /// The event of a stored form.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Result<Event, DecodeError> {
        if let Some(event) = self.plain(bytes) {
            return Ok(event);
        }
        let event = decode(bytes)?;
        match &event {
            Event::TokenIssued(record) if self.record.is_none() => {
                self.record = Some(IssueRecord::clone(record));
            }
            Event::TaskStarted(started) if self.started.is_none() => {
                self.started = Some(TaskStarted::clone(started));
            }
            _ => {}
        }
        Ok(event)
    }

    /// A snapshot comes, from its beginning.
    pub(crate) fn begin_snapshot(&mut self) {
        self.records.clear();
        self.beginnings.clear();
    }

    /// The event of a stored form that may be a brief, and what it was made of. A snapshot's are given in their
    /// order, from the first on.
    pub(crate) fn decode_in_snapshot(&mut self, bytes: &[u8]) -> Result<(Event, Made), DecodeError> {
        if let Some((&kind, brief)) = bytes.split_first() {
            if kind == IssueRecord::KIND {
                let (record, made) = self.records.read(Wire::of(brief))?;
                return Ok((Event::TokenIssued(record), made));
            }
            if kind == TaskStarted::KIND {
                let (started, _never_over) = self.beginnings.read(Wire::of(brief))?;
                return Ok((Event::TaskStarted(started), Made::default()));
            }
        }
        let event = self.decode(bytes)?;
        match &event {
            Event::TokenIssued(record) => self.records.see(record, bytes),
            Event::TaskStarted(started) => self.beginnings.see(started, bytes),
            _ => {}
        }
        Ok((event, Made::default()))
    }

    /// Takes back an event that is over, to write another over it. `made` is what came with it.
    pub(crate) fn take_back(&mut self, event: Event, made: Made) {
        let Event::TokenIssued(mut record) = event else { return };
        if Arc::get_mut(&mut record).is_none() {
            return;
        }
        if let Err(record) = self.records.keep(record, made, SPARES_MAX)
            && self.spares.len() < SPARES_MAX
        {
            self.spares.push(record);
        }
    }

    fn plain(&mut self, bytes: &[u8]) -> Option<Event> {
        match direct::plain(bytes)? {
            Plain::TokenIssued(wire) => {
                let mut record = match self.spares.pop() {
                    Some(spare) => spare,
                    None => Arc::new(self.record.as_ref()?.clone()),
                };
                direct::token_issued(wire, Arc::get_mut(&mut record)?)?;
                Some(Event::TokenIssued(record))
            }
            Plain::TaskStarted(wire) => {
                let mut started = Arc::new(self.started.as_ref()?.clone());
                direct::task_started(wire, Arc::get_mut(&mut started)?)?;
                Some(Event::TaskStarted(started))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::super::tests::any_event;
    use super::super::{encode, task, token};
    use super::*;

    /// Decoders that decoded some event before, and took it back.
    fn seasoned(before: &[Event]) -> Decoder {
        let mut decoder = Decoder::default();
        for event in before {
            let again = decoder.decode(&encoded(event)).expect("what was encoded decodes");
            assert_eq!(&again, event);
            decoder.take_back(again, Made::default());
        }
        decoder
    }

    fn encoded(event: &Event) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(event, &mut bytes);
        bytes
    }

    fn any_record() -> impl Strategy<Value = Event> {
        token::tests::any_issued().prop_map(|record| Event::TokenIssued(Arc::new(record)))
    }

    fn any_beginning() -> impl Strategy<Value = Event> {
        task::tests::any_started().prop_map(|started| Event::TaskStarted(Arc::new(started)))
    }

    fn any_plain() -> impl Strategy<Value = Event> {
        prop_oneof![any_record(), any_beginning()]
    }

    /// Some event, the same in every run.
    fn one(events: impl Strategy<Value = Event>, runner: &mut TestRunner) -> Event {
        events.new_tree(runner).expect("there is one").current()
    }

    proptest! {
        #[test]
        fn it_gives_what_the_generated_form_gives(before in prop::collection::vec(any_plain(), 0..4), event in any_event()) {
            let bytes = encoded(&event);
            let mut decoder = seasoned(&before);
            prop_assert_eq!(decoder.decode(&bytes), Ok(event));
        }

        #[test]
        fn the_two_are_decoded_straight(before in any_plain(), event in any_plain()) {
            let is_same = std::mem::discriminant(&before) == std::mem::discriminant(&event);
            let mut decoder = seasoned(&[before]);
            let bytes = encoded(&event);
            prop_assert_eq!(decoder.plain(&bytes), is_same.then_some(event));
        }

        #[test]
        fn of_a_mangled_event_it_gives_what_the_generated_form_gives(
            before in any_plain(),
            event in any_plain(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut bytes = encoded(&event);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len() + 1)));
            let mut decoder = seasoned(&[before, event]);
            prop_assert_eq!(decoder.decode(&bytes), decode(&bytes));
        }
    }

    #[test]
    fn of_every_changed_byte_it_gives_what_the_generated_form_gives() {
        let mut runner = TestRunner::deterministic();
        let small = |event: &Event| encoded(event).len() < 500;
        for event in [
            one(any_record().prop_filter("small", small), &mut runner),
            one(any_beginning().prop_filter("small", small), &mut runner),
        ] {
            let mut decoder = seasoned(std::slice::from_ref(&event));
            let good = encoded(&event);
            let mut understood = 0;
            for (at, byte) in (0..good.len()).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
                let mut bytes = good.clone();
                bytes[at] = byte;
                let ours = decoder.decode(&bytes);
                assert_eq!(ours, decode(&bytes), "{at} {byte}");
                if let Ok(event) = ours {
                    understood += 1;
                    decoder.take_back(event, Made::default());
                }
            }
            assert!((1..good.len() * 256).contains(&understood), "{understood}");
        }
    }

    #[test]
    fn a_record_that_somebody_holds_is_not_written_over() {
        let mut runner = TestRunner::deterministic();
        let [first, second] = [0, 1].map(|_| one(any_record(), &mut runner));
        let mut decoder = seasoned(std::slice::from_ref(&first));
        let held = decoder.decode(&encoded(&first)).expect("decodes");
        decoder.take_back(held.clone(), Made::default());
        assert!(decoder.spares.is_empty());
        assert_eq!(decoder.decode(&encoded(&second)).as_ref(), Ok(&second));
        assert_eq!(held, first);
    }
}
