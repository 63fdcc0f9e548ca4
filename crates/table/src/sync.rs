//! What threads share state through. Under `cfg(shuttle)` the same names stand for types that the model
//! checker schedules, so that the models in `tests/` run the very code that ships.

#[cfg(not(shuttle))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

#[cfg(not(shuttle))]
pub(crate) use parking_lot::Mutex;

#[cfg(not(shuttle))]
pub(crate) type Swapped<T> = arc_swap::ArcSwap<T>;

#[cfg(not(shuttle))]
pub(crate) type Gate = parking_lot::RwLock<()>;

#[cfg(shuttle)]
pub(crate) use scheduled::{Gate, Mutex, Swapped};
#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

#[cfg(shuttle)]
mod scheduled {
    use std::sync::Arc;

    use shuttle::sync;

    /// The lock of `parking_lot`, scheduled.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(sync::Mutex<T>);

    /// One gate, scheduled.
    #[derive(Debug, Default)]
    pub(crate) struct Gate(sync::RwLock<()>);

    /// A shared value that is replaced as a whole, scheduled.
    #[derive(Debug)]
    pub(crate) struct Swapped<T>(sync::Mutex<Arc<T>>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> sync::MutexGuard<'_, T> {
            self.0.lock().expect("a model stops at its first panic")
        }
    }

    impl Gate {
        pub(crate) fn read(&self) -> sync::RwLockReadGuard<'_, ()> {
            self.0.read().expect("a model stops at its first panic")
        }

        pub(crate) fn write(&self) -> sync::RwLockWriteGuard<'_, ()> {
            self.0.write().expect("a model stops at its first panic")
        }
    }

    impl<T> Swapped<T> {
        pub(crate) fn new(value: Arc<T>) -> Self {
            Self(sync::Mutex::new(value))
        }

        pub(crate) fn load(&self) -> Arc<T> {
            Arc::clone(&self.0.lock().expect("a model stops at its first panic"))
        }

        pub(crate) fn load_full(&self) -> Arc<T> {
            self.load()
        }

        pub(crate) fn store(&self, value: Arc<T>) {
            *self.0.lock().expect("a model stops at its first panic") = value;
        }
    }
}

/// Bugs that the models must catch: a model that catches none proves nothing.
#[cfg(shuttle)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    /// A peek does not look whether the row stayed.
    PeekUnchecked = 1,
    /// An array whose rows were moved is not retired.
    MovedUnnoticed,
    /// A revocation is counted before its watermark stands.
    CountedTooSoon,
    /// A task's memo is stored over whatever its word has become.
    StampedOver,
    /// Checks are added to a row that nothing keeps in its place.
    NotedUnheld,
    /// Rows come to rest on other cells of tasks while somebody holds one.
    RestedUnheld,
    /// A shard is not retired when its rows rest on other cells of tasks.
    RestedUnnoticed,
    /// The cells of a task are taken before its entry keeps it in them.
    CellsBeforeEntry,
}

/// Plants a bug, or none.
#[cfg(shuttle)]
pub(crate) fn plant(bug: Option<Planted>) {
    PLANTED.store(bug.map_or(0, |bug| bug as u8), std::sync::atomic::Ordering::SeqCst);
}

/// Whether a bug is planted.
#[cfg(shuttle)]
pub(crate) fn is_planted(bug: Planted) -> bool {
    PLANTED.load(std::sync::atomic::Ordering::SeqCst) == bug as u8
}

#[cfg(shuttle)]
static PLANTED: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);
