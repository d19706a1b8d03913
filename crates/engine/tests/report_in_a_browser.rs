//! The report's page in a real browser: headless Chromium, driven by Playwright, with axe-core for accessibility.
//!
//! `report_in_a_browser.mjs` opens each page of `report_pages`, in light and dark, wide, narrow and on paper, and compares what it
//! shows with `report.json`. `./test.sh` installs Chromium, and the other two under `target/browser`. Without them the test says
//! that it is skipped; with `DATAFUSE_TEST_BROWSER=required` it fails. `DATAFUSE_TEST_PICTURES=DIR` keeps pictures of the pages.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::fs;
use std::path::Path;
use std::process::Command;

use datafuse_engine::report_html;

mod report_pages;

#[test]
fn every_page_shows_its_report_loads_nothing_and_is_accessible() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = here.join("tests/report_in_a_browser.mjs");
    let node = |arguments: &[&Path]| {
        let mut node = Command::new("node");
        node.current_dir(here.join("../..")).arg(&script).arg("target/browser").args(arguments).output()
    };
    // Exit code 3: what it needs is not there.
    let missing = match node(&[]) {
        Ok(found) if found.status.success() => None,
        Ok(found) if found.status.code() == Some(3) => Some(String::from_utf8_lossy(&found.stderr).trim().to_owned()),
        Ok(found) => panic!("{}", String::from_utf8_lossy(&found.stderr)),
        Err(_) => Some("Node.js is not installed".to_owned()),
    };
    if let Some(missing) = missing {
        let required = std::env::var("DATAFUSE_TEST_BROWSER").is_ok_and(|value| value == "required");
        assert!(!required, "{missing}: run the tests with ./test.sh, or see CONTRIBUTING.md");
        eprintln!("skipped: {missing}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for page in report_pages::all() {
        let of_page = folder.path().join(page.name);
        fs::create_dir(&of_page).unwrap();
        fs::write(of_page.join("report.json"), page.report.to_json_pretty()).unwrap();
        fs::write(of_page.join("report.html"), report_html::render(&page.report)).unwrap();
    }
    let seen = node(&[folder.path()]).unwrap();
    let (said, complaints) = (String::from_utf8_lossy(&seen.stdout), String::from_utf8_lossy(&seen.stderr));
    assert!(seen.status.success(), "{said}{complaints}");
    eprintln!("{said}");
}
