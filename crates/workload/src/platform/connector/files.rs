//! The folder where the files of connectors lie, and what of it is none of theirs.
//!
//! In: a path as a connector gives it. Out: a source below the folder, links on the way included, that leads neither to configurations of
//! connectors, which may hold secrets, nor to reports. The files themselves are not read here.

use std::path::{Component, Path, PathBuf};

use datafuse_engine::dataset::Source;

use super::ConnectorProblem;

/// The endings of files that hold rows and nothing else.
const ENDINGS_OF_ROWS: [&str; 3] = ["csv", "tsv", "parquet"];

/// Where the files of connectors lie.
#[derive(Clone, Debug)]
pub(super) struct Files {
    /// They are below this folder.
    folder: PathBuf,
    /// What else may be below it: configurations, and reports.
    configurations: Option<PathBuf>,
    reports: PathBuf,
}

impl Files {
    pub(super) fn new(folder: PathBuf, configurations: Option<PathBuf>, reports: PathBuf) -> Self {
        Self { folder, configurations, reports }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes a source of a path; `key` is the setting that gave it.
    pub(super) fn source(&self, path: &Path, key: &'static str) -> Result<Source, ConnectorProblem> {
        let outside = || ConnectorProblem::OutsideFolder { key, folder: self.folder.clone() };
        if path.components().any(|component| component == Component::ParentDir) || !path.starts_with(&self.folder) {
            return Err(outside());
        }
        let text = path.to_str().ok_or(ConnectorProblem::Place { key, reason: "is not a path as UTF-8" })?;
        let is_pattern = text.contains(['*', '?', '[']);
        // As far as it exists and has no pattern, it is looked at where it really leads.
        let fixed: PathBuf = path
            .components()
            .take_while(|component| !component.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']))
            .collect();
        let is_open = fixed.as_path() != path;
        if let Some(existing) = fixed.ancestors().find(|ancestor| ancestor.exists())
            && let (Ok(real), Ok(real_folder)) = (existing.canonicalize(), self.folder.canonicalize())
        {
            if !real.starts_with(&real_folder) {
                return Err(outside());
            }
            if self.holds_others(&real, path, is_open) {
                let reason = "leads to configurations of connectors or to reports";
                return Err(ConnectorProblem::Place { key, reason });
            }
        }
        Ok(if is_pattern { Source::Glob(text.to_owned()) } else { Source::Path(path.to_owned()) })
    }

    /// Whether a path, of which `real` is known, may lead to a configuration or a report. One that is open, a pattern or for
    /// several models, does not where only rows have its ending.
    fn holds_others(&self, real: &Path, path: &Path, is_open: bool) -> bool {
        let ending = path.extension().unwrap_or_default();
        let may_be_other = is_open && !ENDINGS_OF_ROWS.iter().any(|rows| ending.eq_ignore_ascii_case(rows));
        let reports = really(&self.reports);
        let in_reports = real.starts_with(&reports) || (may_be_other && reports.starts_with(real));
        let in_configurations = self.configurations.as_deref().map(really).is_some_and(|folder| {
            // By the name that it has, or that it would have if it came to be there.
            let is_named_so =
                |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("configuration_"));
            let is_one = real.starts_with(&folder) && (is_named_so(real) || is_named_so(path));
            is_one || (may_be_other && (folder.starts_with(real) || real.starts_with(&folder)))
        });
        in_reports || in_configurations
    }
}

fn really(folder: &Path) -> PathBuf {
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}
