//! The house keeps its plan: which crate may import which, and what a crate must not know, as `ARCHITECTURE.md` says.
//!
//! It reads `cargo metadata` and the first line of each crate. An arrow that is not on the list fails, and so does a crate that
//! is not on it: whoever adds a crate decides here on which floor it stands.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, fs};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

const PREFIX: &str = "datafuse-";

/// Each crate, the crates of this workspace that it may import, and the outside crates that would tell it what it must not
/// know. An import may only point to an earlier line; crates on one floor are absent from each other's lists.
const HOUSE: [Room; 9] = [
    Room {
        name: "group",
        may_import: &[],
        must_not_know: &["rayon", "tokio", "serde", "tempfile", "getrandom", "hkdf", "hpke"],
    },
    Room {
        name: "core",
        may_import: &["group"],
        must_not_know: &[
            "arrow",
            "parquet",
            "datafusion",
            "object_store",
            "tokio",
            "futures",
            "reqwest",
            "redis",
            "rusqlite",
            "tempfile",
            "getrandom",
            "jiff",
            "rayon",
        ],
    },
    Room {
        name: "engine",
        may_import: &["group", "core"],
        must_not_know: &["redis", "rusqlite", "ulid", "dotenvy", "hpke", "clap"],
    },
    Room {
        name: "space",
        may_import: &["group", "core"],
        must_not_know: &["arrow", "parquet", "datafusion", "axum", "hyper", "redis", "rusqlite", "clap"],
    },
    Room {
        name: "holder",
        may_import: &["group", "core", "engine", "space"],
        must_not_know: &["redis", "rusqlite", "clap"],
    },
    Room {
        name: "workload",
        may_import: &["group", "core", "engine", "space"],
        must_not_know: &["clap", "indicatif", "dialoguer", "maud"],
    },
    Room {
        name: "lab",
        may_import: &["group", "core", "engine", "space", "holder", "workload"],
        must_not_know: &["clap", "indicatif", "dialoguer"],
    },
    Room {
        name: "web",
        may_import: &["core", "space"],
        // It carries documents; what they say is for others.
        must_not_know: &[
            "arrow",
            "parquet",
            "datafusion",
            "object_store",
            "redis",
            "rusqlite",
            "clap",
            "curve25519-dalek",
            "ed25519-dalek",
            "hpke",
            "chacha20poly1305",
            "minicbor",
        ],
    },
    Room {
        name: "cli",
        may_import: &["group", "core", "engine", "space", "holder", "workload", "lab", "web"],
        // The program parses, calls and prints; algorithms are elsewhere.
        must_not_know: &[
            "curve25519-dalek",
            "ed25519-dalek",
            "hpke",
            "chacha20poly1305",
            "parquet",
            "arrow",
            "datafusion",
        ],
    },
];

struct Room {
    name: &'static str,
    may_import: &'static [&'static str],
    must_not_know: &'static [&'static str],
}

/// One dependency of a crate of this workspace.
struct Arrow {
    from: String,
    to: String,
    /// Whether it is only for tests, benches or the build.
    aside: bool,
}

#[test]
fn imports_point_only_left() {
    let wrong = violations(&arrows(&metadata()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_crate_has_its_place_in_the_house() {
    let packages = metadata();
    let found: BTreeSet<_> = packages.workspace_packages().iter().map(|package| room_of(&package.name)).collect();
    let planned: BTreeSet<_> = HOUSE.iter().map(|room| room.name.to_owned()).collect();
    assert_eq!(found, planned);
    for package in packages.workspace_packages() {
        assert!(package.name.starts_with(PREFIX), "{} has no prefix {PREFIX}", package.name);
        let folder = package.manifest_path.parent().and_then(|folder| folder.file_name());
        assert_eq!(folder, Some(room_of(&package.name).as_str()), "a crate lies in the folder of its name");
    }
}

/// `group` has the instructions of the processor in it, in the files below and nowhere else.
#[test]
fn every_crate_begins_by_refusing_unsafe_code() {
    for package in metadata().workspace_packages() {
        let level = if room_of(&package.name) == "group" { "deny" } else { "forbid" };
        for target in package.targets.iter().filter(|target| target.is_lib() || target.is_bin()) {
            let text = fs::read_to_string(&target.src_path).unwrap();
            let first = format!("#![{level}(unsafe_code)]");
            assert_eq!(text.lines().next(), Some(first.as_str()), "first line of {}", target.src_path);
        }
    }
}

#[test]
fn unsafe_code_is_in_three_files() {
    let lanes = fs::read_to_string("../group/src/backend/lanes/mod.rs").unwrap();
    let lines: Vec<_> = lanes.lines().collect();
    let mut allowed: Vec<_> =
        lines.windows(2).filter(|pair| pair[0].contains("allow(unsafe_code)")).map(|pair| pair[1]).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["mod avx2;", "mod avx512;", "pub(crate) mod backends;"]);

    let mut folders = vec![std::path::PathBuf::from("../group/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("lanes/mod.rs") {
                let text = fs::read_to_string(&path).unwrap();
                assert!(!text.contains("allow(unsafe_code)"), "{} allows unsafe code", path.display());
            }
        }
    }
}

/// The list itself is in order: floors are not entered from below, and the check sees what it is for.
#[test]
fn a_forbidden_arrow_is_found() {
    for (position, room) in HOUSE.iter().enumerate() {
        for import in room.may_import {
            let place = HOUSE.iter().position(|other| other.name == *import);
            assert!(
                place.is_some_and(|place| place < position),
                "{} may import {import}, which is not left of it",
                room.name
            );
        }
    }
    let arrow = |from: &str, to: &str, aside| Arrow { from: from.to_owned(), to: to.to_owned(), aside };
    for (from, to) in [
        ("datafuse-group", "datafuse-core"),
        ("datafuse-engine", "datafuse-space"),
        ("datafuse-space", "datafuse-engine"),
        ("datafuse-holder", "datafuse-workload"),
        ("datafuse-workload", "datafuse-holder"),
        ("datafuse-workload", "datafuse-lab"),
        ("datafuse-workload", "datafuse-web"),
        ("datafuse-lab", "datafuse-web"),
        ("datafuse-web", "datafuse-lab"),
        ("datafuse-web", "datafuse-workload"),
        ("datafuse-web", "datafuse-engine"),
        ("datafuse-lab", "datafuse-cli"),
    ] {
        // Tests are no excuse: they too would need the other crate to be built first.
        for aside in [false, true] {
            assert_eq!(violations(&[arrow(from, to, aside)]).len(), 1, "{from} -> {to}");
        }
    }
    assert_eq!(violations(&[arrow("datafuse-core", "tokio", false)]).len(), 1);
    assert_eq!(violations(&[arrow("datafuse-core", "tokio", true)]).len(), 0);
    assert_eq!(violations(&[arrow("datafuse-core", "datafuse-group", false)]).len(), 0);
}

/// Says in words what is wrong with each arrow that must not be.
fn violations(arrows: &[Arrow]) -> Vec<String> {
    let mut wrong = Vec::new();
    for Arrow { from, to, aside } in arrows {
        let Some(room) = HOUSE.iter().find(|room| room.name == room_of(from)) else { continue };
        if to.starts_with(PREFIX) {
            if !room.may_import.contains(&room_of(to).as_str()) {
                wrong.push(format!("{from} imports {to}; it may import: {}", room.may_import.join(", ")));
            }
        } else if !aside && room.must_not_know.contains(&to.as_str()) {
            wrong.push(format!("{from} imports {to}, which belongs to what it must not know"));
        }
    }
    wrong
}

fn arrows(metadata: &Metadata) -> Vec<Arrow> {
    let of = |package: &Package| -> Vec<Arrow> {
        let arrow = |dependency: &cargo_metadata::Dependency| Arrow {
            from: package.name.to_string(),
            to: dependency.name.clone(),
            aside: dependency.kind != DependencyKind::Normal,
        };
        package.dependencies.iter().map(arrow).collect()
    };
    metadata.workspace_packages().into_iter().flat_map(of).collect()
}

fn room_of(package: &str) -> String {
    package.trim_start_matches(PREFIX).to_owned()
}

/// Only what the manifests say: nothing is resolved, fetched or written.
fn metadata() -> Metadata {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap()
}
