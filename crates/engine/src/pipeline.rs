//! Work on a stream of items on several threads, with the results in the items' order and a bounded number of items at work.
//!
//! ```text
//! source (one thread at a time) -> work (all threads) -> sink (the caller's thread, in order)
//! ```
//!
//! Whoever is free takes the next item, so nothing waits for a slow item but the sink; and because an item is taken only with
//! one of a fixed number of permits, which the sink gives back, the sink never has to keep more than that.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::error::{Error, Result};

/// Runs `work` over all items of `source` on `threads` threads; `sink` gets the results in order, on this thread.
///
/// The first error in the order of the items ends it, whether from the source, the work or the sink.
pub(crate) fn ordered<T, R>(
    threads: usize,
    source: impl Iterator<Item = Result<T>> + Send,
    work: impl Fn(T) -> Result<R> + Sync,
    mut sink: impl FnMut(R) -> Result<()>,
) -> Result<()>
where
    R: Send,
{
    let threads = threads.max(1);
    let window = 2 * threads + 1;
    let source = Mutex::new(source.fuse().enumerate());
    let (give_permit, permits) = crossbeam_channel::bounded(window);
    let (give_result, results) = crossbeam_channel::bounded::<(usize, Result<R>)>(window);
    for _ in 0..window {
        // The channel has just this many places.
        let _ = give_permit.try_send(());
    }

    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let (permits, give_result, source, work) = (permits.clone(), give_result.clone(), &source, &work);
                let span = tracing::Span::current();
                scope.spawn(move || {
                    let _at_work = span.enter();
                    // No permits come any more once the sink has stopped.
                    while permits.recv().is_ok() {
                        let taken = source.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some((index, item)) = taken else { break };
                        let mut delivery = Delivery { index, result: None, results: &give_result };
                        delivery.result = Some(item.and_then(work));
                    }
                })
            })
            .collect();
        drop((permits, give_result));

        let mut waiting = BTreeMap::new();
        let mut next = 0;
        let mut outcome = Ok(());
        'results: for (index, result) in &results {
            waiting.insert(index, result);
            while let Some(result) = waiting.remove(&next) {
                next += 1;
                outcome = result.and_then(&mut sink);
                if outcome.is_err() {
                    break 'results;
                }
                // Fails when all workers have stopped, which is as well.
                let _ = give_permit.send(());
            }
        }
        drop((results, give_permit));
        for worker in workers {
            // A thread that stopped has delivered an error in place of its result, unless the source stopped it.
            if worker.join().is_err() && outcome.is_ok() {
                outcome = Err(stopped());
            }
        }
        outcome
    })
}

/// Delivers the result of one item; where there is none because the work stopped its thread, an error.
struct Delivery<'a, R> {
    index: usize,
    result: Option<Result<R>>,
    results: &'a crossbeam_channel::Sender<(usize, Result<R>)>,
}

impl<R> Drop for Delivery<'_, R> {
    fn drop(&mut self) {
        let result = self.result.take().unwrap_or_else(|| Err(stopped()));
        // Fails when the sink has stopped, and then nobody waits for it.
        let _ = self.results.send((self.index, result));
    }
}

fn stopped() -> Error {
    Error::Internal { work: "working on all cores", source: "a thread stopped".into() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn error() -> Error {
        Error::Internal { work: "test", source: "test".into() }
    }

    #[test]
    fn results_come_in_order_whatever_the_work_takes() {
        let mut seen = Vec::new();
        let work = |item: u32| {
            for spin in 0..(item * 7919) % 50_000 {
                std::hint::black_box(spin);
            }
            Ok(item * 2)
        };
        ordered(4, (0..500).map(Ok), work, |result| {
            seen.push(result);
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, (0..500).map(|item| item * 2).collect::<Vec<_>>());
    }

    #[test]
    fn the_number_of_items_at_work_is_bounded() {
        let (taken, done, most) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let source = (0..200).map(|item: u32| {
            let at_work = taken.fetch_add(1, Ordering::SeqCst) + 1 - done.load(Ordering::SeqCst);
            most.fetch_max(at_work, Ordering::SeqCst);
            Ok(item)
        });
        ordered(3, source, Ok, |_| {
            done.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
        .unwrap();
        assert_eq!(done.load(Ordering::SeqCst), 200);
        assert!(most.load(Ordering::SeqCst) <= 8, "{most:?}");
    }

    #[test]
    fn the_first_error_in_order_ends_it() {
        for threads in [1, 4] {
            let mut seen = 0;
            let source = (0..100_000).map(|item| if item == 60 { Err(error()) } else { Ok(item) });
            let work = |item| if item == 40 { Err(Error::NoSuchHolder { holder: 40, holders: 0 }) } else { Ok(item) };
            let outcome = ordered(threads, source, work, |_| {
                seen += 1;
                Ok(())
            });
            assert!(matches!(outcome, Err(Error::NoSuchHolder { holder: 40, .. })));
            assert_eq!(seen, 40);
            let outcome =
                ordered(threads, (0..).map(Ok), Ok, |item: u32| if item == 7 { Err(error()) } else { Ok(()) });
            assert!(outcome.is_err());
        }
    }

    #[test]
    fn a_stopped_thread_is_an_error_and_not_a_hang() {
        let work = |item: u32| {
            assert!(item != 5, "stops on purpose");
            Ok(item)
        };
        assert!(matches!(ordered(2, (0..10).map(Ok), work, |_| Ok(())), Err(Error::Internal { .. })));
    }

    #[test]
    fn no_items_are_no_results() {
        ordered(2, std::iter::empty::<Result<u32>>(), Ok, |_| panic!("none")).unwrap();
    }
}
