//! How a queue stands: what waits, what is at work, what was put aside. Numbers and names of streams only, nothing of an event.

use std::time::Duration;

/// How a queue stands, stream by stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Each stream that this consumer reads, most urgent first.
    pub streams: Vec<StreamStats>,
}

/// How one stream stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// The stream's name.
    pub stream: String,
    /// Events that wait for a consumer.
    pub waiting: u64,
    /// Events that a consumer took and has not acknowledged; in Redis also those that were given back and wait for another
    /// attempt.
    pub pending: u64,
    /// The longest time since one of the pending events was taken or its consumer last said that it is at work.
    pub oldest_pending: Option<Duration>,
    /// Dead letters.
    pub dead_letters: u64,
    /// Events that were removed from the place before anybody read them, or before they were done, as far as this consumer
    /// noticed: they are lost. Always 0 in a folder.
    pub trimmed: u64,
    /// Consumers that the place knows: in Redis with those that died less than a day ago, in a folder those that live.
    pub consumers: u64,
}

impl QueueStats {
    /// Adds the streams up: sums, but the longest time and the largest number of consumers. The name is empty.
    #[must_use]
    pub fn total(&self) -> StreamStats {
        self.streams.iter().fold(StreamStats::default(), |sum, stream| StreamStats {
            stream: String::new(),
            waiting: sum.waiting + stream.waiting,
            pending: sum.pending + stream.pending,
            oldest_pending: sum.oldest_pending.max(stream.oldest_pending),
            dead_letters: sum.dead_letters + stream.dead_letters,
            trimmed: sum.trimmed + stream.trimmed,
            consumers: sum.consumers.max(stream.consumers),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_adds_events_and_takes_the_longest_wait() {
        let stream = |waiting, seconds: Option<u64>, consumers| StreamStats {
            stream: "x".to_owned(),
            waiting,
            pending: 1,
            oldest_pending: seconds.map(Duration::from_secs),
            dead_letters: 2,
            trimmed: 3,
            consumers,
        };
        let stats = QueueStats { streams: vec![stream(5, Some(7), 1), stream(6, None, 4)] };
        let expected = StreamStats {
            stream: String::new(),
            waiting: 11,
            pending: 2,
            oldest_pending: Some(Duration::from_secs(7)),
            dead_letters: 4,
            trimmed: 6,
            consumers: 4,
        };
        assert_eq!(stats.total(), expected);
        assert_eq!(QueueStats::default().total(), StreamStats::default());
    }
}
