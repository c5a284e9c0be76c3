//! What wakes a connection's task, so that it looks at little else when a request does.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Wake, Waker};

/// A waker that wakes a task, and remembers that it did: who was given it need not be polled before
/// it has rung.
#[derive(Debug)]
pub(super) struct Bell {
    waker: Waker,
    ring: Arc<Ring>,
    /// As in the ring, where it is under a lock.
    task: Waker,
}

#[derive(Debug)]
struct Ring {
    rung: AtomicBool,
    task: Mutex<Waker>,
}

impl Bell {
    /// One that has rung: whoever is given it has not been polled.
    pub(super) fn new() -> Self {
        let ring = Arc::new(Ring {
            rung: AtomicBool::new(true),
            task: Mutex::new(Waker::noop().clone()),
        });
        Self {
            waker: Waker::from(ring.clone()),
            ring,
            task: Waker::noop().clone(),
        }
    }

    /// Whether it has rung since this was asked last. From now on it wakes this task.
    pub(super) fn has_rung(&mut self, cx: &Context<'_>) -> bool {
        if !self.task.will_wake(cx.waker()) {
            self.task.clone_from(cx.waker());
            self.ring.task().clone_from(cx.waker());
        }
        let rung = &self.ring.rung;
        rung.load(Ordering::Acquire) && rung.swap(false, Ordering::AcqRel)
    }

    /// What to poll those with that are to ring it.
    pub(super) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }
}

impl Ring {
    fn task(&self) -> MutexGuard<'_, Waker> {
        self.task
            .lock()
            .expect("nobody panics while a waker is exchanged")
    }
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if HUSH.get() != Hush::Off {
            HUSH.set(Hush::Missed);
            return;
        }
        self.rung.store(true, Ordering::Release);
        self.task().wake_by_ref();
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hush {
    Off,
    On,
    /// On, and a bell would have rung.
    Missed,
}

thread_local! {
    /// Of this thread, since what others ring meanwhile is not meant.
    static HUSH: Cell<Hush> = const { Cell::new(Hush::Off) };
}

/// Does something without letting that ring a bell; returns whether it would have.
pub(super) fn hushed<T>(act: impl FnOnce() -> T) -> (T, bool) {
    struct Over;
    impl Drop for Over {
        fn drop(&mut self) {
            HUSH.set(Hush::Off);
        }
    }
    let _over = Over;
    HUSH.set(Hush::On);
    let result = act();
    (result, HUSH.get() == Hush::Missed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn it_wakes_the_task_that_asked_last_and_remembers_it_once() {
        let (first, second) = (Arc::<Count>::default(), Arc::<Count>::default());
        let wakers = [&first, &second].map(|count| Waker::from(count.clone()));
        let mut bell = Bell::new();
        let [first_cx, second_cx] = wakers.each_ref().map(Context::from_waker);
        assert!(bell.has_rung(&first_cx), "nobody was polled yet");
        assert!(!bell.has_rung(&first_cx));
        bell.context().waker().wake_by_ref();
        assert!(bell.has_rung(&second_cx));
        assert!(!bell.has_rung(&second_cx));
        bell.context().waker().wake_by_ref();
        assert_eq!((first.get(), second.get()), (1, 1));
        assert!(bell.has_rung(&second_cx));
    }

    #[test]
    fn what_is_hushed_rings_no_bell_of_this_thread_and_says_that_it_would_have() {
        let count = Arc::<Count>::default();
        let waker = Waker::from(count.clone());
        let mut bell = Bell::new();
        let cx = Context::from_waker(&waker);
        assert!(bell.has_rung(&cx));
        let own = bell.context().waker().clone();
        assert_eq!(hushed(|| 1), (1, false));
        assert_eq!(hushed(|| own.wake_by_ref()), ((), true));
        assert_eq!((bell.has_rung(&cx), count.get()), (false, 0));
        let elsewhere = own.clone();
        let (_, missed) = hushed(|| std::thread::spawn(move || elsewhere.wake()).join());
        assert!(!missed);
        assert_eq!((bell.has_rung(&cx), count.get()), (true, 1));
        let _ = std::panic::catch_unwind(|| hushed(|| panic!("on purpose")));
        own.wake();
        assert_eq!((bell.has_rung(&cx), count.get()), (true, 2));
    }
}
