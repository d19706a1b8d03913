//! How long to wait before trying again: longer each time, and never exactly as long as another process that failed at the same moment.

use std::time::Duration;

/// Pauses that double from a first to a longest one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Begins with a first pause.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first.min(longest), longest }
    }

    /// Gives the pause of the attempt with this number, from 1.
    pub(crate) fn of_attempt(first: Duration, longest: Duration, attempt: u32) -> Duration {
        let doubled = first.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
        jittered(doubled.min(longest))
    }

    /// Gives the next pause.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = jittered(self.next);
        self.next = self.next.saturating_mul(2).min(self.longest);
        pause
    }
}

/// Gives between half and the whole of a pause.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness all wait the whole time, which is no error.
    let share = getrandom::fill(&mut byte).map_or(255, |()| byte[0]);
    pause.mul_f64(0.5 + f64::from(share) / 510.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_differ() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(5));
        let expected = [1, 2, 4, 5, 5, 5].map(Duration::from_secs);
        let mut all = Vec::new();
        for _ in 0..20 {
            let mut backoff = Backoff::new(first, longest);
            for whole in expected {
                let pause = backoff.pause();
                assert!(pause >= whole / 2 && pause <= whole, "{pause:?} of {whole:?}");
                all.push(pause);
            }
        }
        all.sort_unstable();
        all.dedup();
        assert!(all.len() > 20, "pauses are not spread");
        let third = Backoff::of_attempt(first, longest, 3);
        assert!(third >= Duration::from_secs(2) && third <= Duration::from_secs(4));
        assert!(Backoff::of_attempt(first, longest, u32::MAX) <= longest);
    }
}
