//! Delivery to a folder: `FOLDER/EVENT/` with the report's files, whole or not at all.
//!
//! Written beside its name, flushed, renamed. The folder itself is never made: where it is a share, a missing one means that it is
//! not mounted, and a report in its mount point would reach nobody.

use std::{fs, io, path::Path};

use super::{Arrival, DeliveryError, Parcel};
use crate::{
    outcome::temporary_name,
    report_folder::{self, Found},
};

pub(super) fn deliver(parcel: &Parcel<'_>, place: &Path) -> Result<Arrival, DeliveryError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| DeliveryError::Folder { action, path, source }
    };
    fs::metadata(place).map_err(failed("find", place))?;
    let target = place.join(parcel.event.as_str());
    let in_the_way = || DeliveryError::InTheWay { path: target.clone() };
    match report_folder::find(&target, parcel.event, &parcel.root, &parcel.signers).map_err(failed("read", &target))? {
        Found::Nothing => {}
        // In clear where it is to be encrypted is another report, and so is one for other users.
        found if found.files() == Some(parcel.set) && found.users() == parcel.users => return Ok(Arrival::WasThere),
        _ => return Err(in_the_way()),
    }
    let part = place.join(temporary_name(parcel.event));
    let _ = fs::remove_dir_all(&part);
    let written = write(parcel, &part, &target);
    if written.is_err() {
        let _ = fs::remove_dir_all(&part);
    }
    match written {
        Ok(()) => Ok(Arrival::Sent),
        // Something came there in the meantime.
        Err(source) if matches!(source.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {
            Err(in_the_way())
        }
        Err(source) => Err(failed("write", &target)(source)),
    }
}

fn write(parcel: &Parcel<'_>, part: &Path, target: &Path) -> io::Result<()> {
    fs::create_dir(part)?;
    for (name, bytes) in &parcel.files {
        report_folder::write(&part.join(name), bytes)?;
    }
    report_folder::publish(part, target)
}
