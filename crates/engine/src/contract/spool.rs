//! Columns of the checked rows, kept for what cannot be counted in the pass over the source: in a temporary file that is
//! encrypted under a key which lives in memory only, and unlinked from the moment it is made (see [`crate::spill`]).

use std::{
    io::{self, Read},
    pin::Pin,
    sync::Arc,
};

use arrow::{
    datatypes::SchemaRef,
    ipc::{reader::StreamReader, writer::StreamWriter},
    record_batch::RecordBatch,
};
use bytes::Bytes;
use datafusion::{
    common::DataFusionError,
    execution::{SendableRecordBatchStream, SpillFile, SpillWriter, TaskContext, TempFileFactory},
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use futures::{FutureExt, Stream, StreamExt};

use crate::{
    error::{Error, Result},
    runtime::Limits,
    spill::EncryptedSpill,
};

const WORK: &str = "keeping columns for later checks";

/// A spool that is being written.
pub(super) struct Spooling {
    schema: SchemaRef,
    spill: EncryptedSpill,
    file: Arc<dyn SpillFile>,
    writer: StreamWriter<Box<dyn SpillWriter>>,
}

impl Spooling {
    pub(super) fn begin(schema: SchemaRef, limits: &Limits) -> Result<Self> {
        let spill = EncryptedSpill::new(&limits.temp_dir, limits.max_temp_bytes)?;
        let failed = |source: DataFusionError| spill.take_failure(WORK).unwrap_or_else(|| internal(source));
        let file = spill.create_temp_file(WORK).map_err(failed)?;
        let writer = file.open_writer().map_err(failed)?;
        let writer = StreamWriter::try_new(writer, &schema).map_err(internal)?;
        Ok(Self { schema, spill, file, writer })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(|source| self.spill.take_failure(WORK).unwrap_or_else(|| internal(source)))
    }

    pub(super) fn finish(mut self) -> Result<Spool> {
        let finished = self.writer.finish().map_err(internal).and_then(|()| {
            let mut file = self.writer.into_inner().map_err(internal)?;
            file.finish().map_err(internal)
        });
        finished.map_err(|error| self.spill.take_failure(WORK).unwrap_or(error))?;
        Ok(Spool { schema: self.schema, file: self.file })
    }
}

fn internal(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Internal { work: WORK, source: source.into() }
}

/// Kept columns, readable any number of times.
#[derive(Clone)]
pub(super) struct Spool {
    schema: SchemaRef,
    file: Arc<dyn SpillFile>,
}

impl Spool {
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("columns", &self.schema.fields().len()).finish_non_exhaustive()
    }
}

impl PartitionStream for Spool {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = self.file.read_stream().and_then(|stream| {
            let bytes = StreamBytes { stream, at_hand: Bytes::new() };
            Ok(StreamReader::try_new(bytes, None)?)
        });
        let batches: Box<dyn Iterator<Item = datafusion::common::Result<RecordBatch>> + Send> = match batches {
            Ok(reader) => Box::new(reader.map(|batch| Ok(batch?))),
            Err(error) => Box::new(std::iter::once(Err(error))),
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), futures::stream::iter(batches)))
    }
}

/// The bytes of a file that is read as a stream; the stream always has its next piece at once.
struct StreamBytes {
    stream: Pin<Box<dyn Stream<Item = datafusion::common::Result<Bytes>> + Send>>,
    at_hand: Bytes,
}

impl Read for StreamBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at_hand.is_empty() {
            match self.stream.next().now_or_never() {
                Some(Some(Ok(bytes))) => self.at_hand = bytes,
                Some(None) => return Ok(0),
                Some(Some(Err(error))) => return Err(io::Error::other(error)),
                None => return Err(io::Error::other("a temporary file was not read at once")),
            }
        }
        let taken = buffer.len().min(self.at_hand.len());
        buffer[..taken].copy_from_slice(&self.at_hand.split_to(taken));
        Ok(taken)
    }
}
