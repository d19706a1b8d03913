//! The workload's database, opened by whoever has the key: every sealed value in it, wherever it stands.
//!
//! It works on a copy. Which tables there are is read from the database; a sealed value is tried at every place that its row can
//! name, so what a later version adds is opened as well.

use std::{fs, path::Path};

use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit,
    aead::{Aead, Payload},
};
use datafuse_core::name::PublicName;
use rusqlite::{Connection, OpenFlags, types::Value};

use super::evidence::{Artifact, Evidence};

const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// One row of the database.
pub(crate) struct Row {
    pub(crate) table: String,
    pub(crate) columns: Vec<(String, Value)>,
}

impl Row {
    pub(crate) fn blob(&self, column: &str) -> Option<&[u8]> {
        match &self.columns.iter().find(|(name, _)| name == column)?.1 {
            Value::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(crate) fn integer(&self, column: &str) -> Option<u64> {
        match self.columns.iter().find(|(name, _)| name == column)?.1 {
            Value::Integer(value) => value.try_into().ok(),
            _ => None,
        }
    }

    /// The sealed values, by the names that such columns have.
    pub(crate) fn sealed(&self) -> impl Iterator<Item = &[u8]> {
        self.columns.iter().filter_map(|(name, value)| match value {
            Value::Blob(bytes) if name.contains("sealed") || name == "check_value" => Some(bytes.as_slice()),
            _ => None,
        })
    }

    /// Opens a sealed value of this row.
    pub(crate) fn open(&self, sealed: &[u8], key: &[u8; 32]) -> Option<Vec<u8>> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        if ciphertext.len() < TAG_BYTES {
            return None;
        }
        let cipher = ChaCha20Poly1305::new(key.into());
        self.places()
            .iter()
            .find_map(|place| cipher.decrypt(nonce.into(), Payload { msg: ciphertext, aad: place.as_bytes() }).ok())
    }

    /// The places that this row can name: the table, and after it the first of its columns, any number of them.
    fn places(&self) -> Vec<String> {
        let mut places = vec![self.table.clone()];
        for (_, value) in &self.columns {
            let word = match value {
                Value::Integer(value) => value.to_string(),
                Value::Text(text) => text.clone(),
                Value::Blob(bytes) => match PublicName::from_bytes(bytes) {
                    Ok(name) => name.to_string(),
                    Err(_) => hex::encode(bytes),
                },
                _ => continue,
            };
            places.push(format!("{}/{word}", places.last().map_or("", String::as_str)));
        }
        places
    }
}

/// Reads all rows of every database among the evidence. Gives the names of those that cannot be read as well.
pub(crate) fn rows(evidence: &[Evidence]) -> (Vec<Row>, Vec<String>) {
    let (mut rows, mut unread) = (Vec::new(), Vec::new());
    let of_state = || evidence.iter().filter(|file| file.artifact == Artifact::State);
    for database in of_state().filter(|file| file.name.ends_with(".db")) {
        let read = tempfile::tempdir().ok().and_then(|copy| {
            for file in of_state().filter(|file| file.name.starts_with(&database.name) && !file.name.ends_with("-shm"))
            {
                fs::write(copy.path().join(&file.name), &file.bytes).ok()?;
            }
            read_all(&copy.path().join(&database.name)).ok()
        });
        match read {
            Some(read) => rows.extend(read),
            None => unread.push(database.name.clone()),
        }
    }
    (rows, unread)
}

fn read_all(path: &Path) -> rusqlite::Result<Vec<Row>> {
    // Not read-only: what is in the write-ahead log only must be found too.
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
    let tables = tables.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    let mut rows = Vec::new();
    for table in tables {
        let mut statement = db.prepare(&format!("SELECT * FROM \"{}\"", table.replace('"', "\"\"")))?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let values = names.iter().enumerate().map(|(index, name)| Ok((name.clone(), row.get(index)?)));
            rows.push(Row { table: table.clone(), columns: values.collect::<rusqlite::Result<_>>()? });
        }
    }
    Ok(rows)
}
