#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;
use crate::{check::Finding, testing::name};
use datafuse_core::{kind::Column, normalize::Profile};

fn id(text: &str) -> ParticipantId {
    text.parse().unwrap()
}

/// The example with pieces replaced.
fn changed(pieces: &[(&str, &str)]) -> String {
    pieces.iter().fold(example::yaml(), |text, (from, to)| {
        assert!(text.contains(from), "no {from:?}");
        text.replacen(from, to, 1)
    })
}

fn refused(pieces: &[(&str, &str)]) -> Vec<Finding> {
    match Space::parse(&changed(pieces)) {
        Err(Error::Contract { findings, .. }) => findings,
        other => panic!("{pieces:?}: {other:?}"),
    }
}

#[test]
fn the_walkthroughs_example_says_what_it_says() {
    let space = example::space();
    assert_eq!(space.id().as_str(), "retail-2026");
    assert_eq!(*space.workload(), name(1));
    let ids = |found: Vec<(&ParticipantId, &Participant)>| -> Vec<String> {
        found.iter().map(|(id, _)| id.to_string()).collect()
    };
    assert_eq!(ids(space.stewards().collect()), ["acme", "globex"]);
    assert_eq!(ids(space.holders().collect()), ["acme", "globex"]);
    assert_eq!(ids(space.users().collect()), ["insights"]);
    assert_eq!(space.steward_names(), [name(2), name(3)]);
    assert_eq!(space.kinds().len(), 1);
    assert_eq!(space.kind("email").unwrap().profile(), "email-v1");
    assert_eq!(space.min_count(), 1);
    assert_eq!(space.party(&name(1)), Some(&Party::Workload));
    assert_eq!(space.participant_by_name(&name(2)).unwrap().0, &id("acme"));
    assert_eq!(space.participant_by_name(&name(1)), None);
    assert_eq!(space.party(&name(9)), None);
    assert_eq!(space.parties().len(), 3);
}

#[test]
fn dataset_places_are_resolved_against_the_folder_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("space.yaml");
    std::fs::write(&path, example::yaml()).unwrap();
    let space = Space::read(&path).unwrap();
    let customers = "customers".parse().unwrap();
    assert_eq!(
        space.dataset_location(&id("acme"), &customers).unwrap(),
        Location::Path(folder.path().join("datasets/acme.parquet"))
    );
    let unknown = space.dataset_location(&id("acme"), &"sales".parse().unwrap()).unwrap_err();
    assert!(unknown.to_string().contains("customers"), "{unknown}");
    let unknown = space.dataset_location(&id("umbrella"), &customers).unwrap_err();
    assert!(unknown.to_string().contains("acme, globex, insights"), "{unknown}");
}

#[test]
fn the_root_binds_founding_names_and_identifiers_and_nothing_else() {
    let founded = example::space().root();
    let root = |pieces: &[(&str, &str)]| Space::parse(&changed(pieces)).unwrap().root();
    let (workload, acme, new) = (name(1).to_string(), name(2).to_string(), name(9).to_string());
    // What may change in the life of a space.
    let successor = format!("{new}\n    former: [{acme}]");
    assert_eq!(root(&[(&acme, &successor)]), founded);
    let successor = format!("workload: {new}\nworkload_former: [{workload}]");
    assert_eq!(root(&[(&format!("workload: {workload}"), &successor)]), founded);
    let newcomer = format!("  initech:\n    roles: [holder]\n    name: {new}\n  insights:");
    assert_eq!(root(&[("  insights:", &newcomer)]), founded);
    assert_eq!(root(&[("min_count: 1", "min_count: 7"), ("mailbox: mailbox", "mailbox: box")]), founded);
    // What makes it another space.
    assert_ne!(root(&[("id: retail-2026", "id: retail-2027")]), founded);
    assert_ne!(root(&[("9b9b", "9b9c")]), founded);
    assert_ne!(root(&[(&workload, &new)]), founded);
    assert_ne!(root(&[(&acme, &new)]), founded);
    assert_ne!(root(&[("[acme, globex]", "[globex, acme]")]), founded);
    assert_ne!(root(&[("email-v1", "email-gmail-v1")]), founded);
}

#[test]
fn the_strictest_min_count_wins() {
    let acme = "    datasets:\n      customers: { location: datasets/acme.parquet }\n";
    let with = |count: u64| format!("{acme}    policy: {{ min_count: {count} }}\n");
    let space = |space_count: &str, count| {
        Space::parse(&changed(&[("min_count: 1", space_count), (acme, &with(count))])).unwrap()
    };
    let strict = space("min_count: 3", 5);
    assert_eq!((strict.min_count(), strict.min_count_set_by()), (5, Some(&id("acme"))));
    let lenient = space("min_count: 3", 2);
    assert_eq!((lenient.min_count(), lenient.min_count_set_by()), (3, None));
}

#[test]
fn what_does_not_hold_together_is_refused_with_place_and_remedy() {
    let (workload, acme, globex) = (name(1).to_string(), name(2).to_string(), name(3).to_string());
    let named = |name: &str| format!("    name: {name}\n");
    let former = |former: &str| format!("    name: {acme}\n    former: [{former}]\n");
    let cases = [
        ("[acme, globex]", "[acme]".to_owned(), "stewards", "at least two"),
        ("[acme, globex]", "[]".to_owned(), "stewards", "at least two"),
        ("[acme, globex]", "[acme, acme]".to_owned(), "stewards", "twice"),
        ("[acme, globex]", "[acme, globex, insights]".to_owned(), "stewards", "not a data holder"),
        ("[acme, globex]", "[acme, globex, initech]".to_owned(), "stewards", "not a participant"),
        (&named(&globex), named(&acme), "participants.globex.name", "acme"),
        (&named(&globex), named(&workload), "participants.globex.name", "the workload"),
        (&named(&acme), String::new(), "participants.acme.name", "needs a public name"),
        (&named(&acme), former(&globex), "participants.globex.name", "acme"),
        (&named(&acme), former(&acme), "participants.acme.former", "given twice"),
        ("acme.parquet", "./x/../globex.parquet".to_owned(), "participants.globex.datasets.customers.location", "acme"),
        (
            "datasets/acme.parquet",
            "https://u:p@h/x".to_owned(),
            "participants.acme.datasets.customers.location",
            "password",
        ),
        ("roles: [holder]", "roles: [holder, holder]".to_owned(), "participants.acme.roles", "twice"),
        ("roles: [user]", "roles: []".to_owned(), "participants.insights.roles", "no role"),
        ("{ profile: email-v1 }", "{}".to_owned(), "identifiers.email", "neither"),
        ("{ profile: email-v1 }", "{ columns: [] }".to_owned(), "identifiers.email", "at least one column"),
        (
            "{ profile: email-v1 }",
            "{ columns: [{name: a, profile: text-v1}, {name: a, profile: text-v1}] }".to_owned(),
            "identifiers.email",
            "different names",
        ),
        (
            "{ profile: email-v1 }",
            "{ profile: email-v1, columns: [{name: a, profile: text-v1}] }".to_owned(),
            "identifiers.email",
            "both",
        ),
        (
            "{ profile: email-v1 }",
            "{ default_region: BE, columns: [{name: a, profile: text-v1}] }".to_owned(),
            "identifiers.email",
            "beside 'columns'",
        ),
        ("  email: { profile: email-v1 }", "  {}".to_owned(), "identifiers", "nothing is matched on"),
        ("min_count: 1", "min_count: 0".to_owned(), "policy.min_count", "cannot be 0"),
        (
            "roles: [user]",
            "roles: [user]\n    policy: {min_count: 0}".to_owned(),
            "participants.insights.policy.min_count",
            "cannot be 0",
        ),
        (
            "roles: [user]",
            "roles: [user]\n    datasets: {x: {location: y}}".to_owned(),
            "participants.insights.datasets",
            "only holders",
        ),
        ("roles: [holder]", "roles: [holder]\n    deliver: out".to_owned(), "participants.acme.deliver", "only users"),
        (
            "roles: [user]",
            "roles: [user]\n    deliver: [out, ./out/]".to_owned(),
            "participants.insights.deliver",
            "twice",
        ),
        (
            "roles: [user]",
            "roles: [user]\n    deliver: ./outputs".to_owned(),
            "participants.insights.deliver",
            "'outputs' is the same folder",
        ),
        (
            "  insights:\n    roles: [user]",
            "  in-sights: {roles: [user], deliver: 'https://a.example/'}\n  in.sights: {roles: [user], deliver: 'https://b.example/'}\n  insights:\n    roles: [user]".to_owned(),
            "participants.in.sights.deliver",
            "DATAFUSE_DELIVERY_TOKEN_IN_SIGHTS",
        ),
        ("state: state", "state: ./queue/".to_owned(), "state", "'queue' is the same folder"),
    ];
    for (from, to, place, words) in cases {
        let findings = refused(&[(from, &to)]);
        assert!(
            findings.iter().any(|finding| finding.place == place && finding.message.contains(words)),
            "{to}: {findings:#?}"
        );
        assert!(findings.iter().all(|finding| !finding.remedy.is_empty()), "{findings:#?}");
    }
}

#[test]
fn the_reserved_kind_is_refused() {
    let error = Space::parse(&changed(&[("  email:", "  datafuse-canary:")])).unwrap_err();
    assert!(matches!(error, Error::Syntax { problem: Problem::Value { .. }, .. }), "{error}");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let findings = refused(&[("[acme, globex]", "[acme, nobody]"), ("min_count: 1", "min_count: 0")]);
    assert_eq!(findings.len(), 2, "{findings:#?}");
    let error = Error::Contract { file: "space.yaml".into(), findings };
    assert!(error.to_string().ends_with("(and 1 more)"), "{error}");
    assert!(error.remedy().unwrap().contains("space check"));
}

#[test]
fn a_recipient_is_an_age_recipient_of_a_user() {
    // The recipient of age's own documentation.
    let recipient = "recipient: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let user = format!("roles: [user]\n    {recipient}");
    let space = Space::parse(&changed(&[("roles: [user]", &user)])).unwrap();
    assert!(space.participant(&id("insights")).unwrap().recipient.is_some());
    let holder = format!("roles: [holder]\n    {recipient}");
    assert_eq!(refused(&[("roles: [holder]", &holder)])[0].place, "participants.acme.recipient");
    let damaged = user.replace("ql3z", "ql3x");
    let error = Space::parse(&changed(&[("roles: [user]", &damaged)])).unwrap_err();
    assert!(error.remedy().unwrap().contains("age-keygen"));
}

#[test]
fn reports_are_delivered_to_one_place_or_several() {
    let places = |text: &str| {
        let space =
            Space::parse(&changed(&[("roles: [user]", &format!("roles: [user]\n    deliver: {text}"))])).unwrap();
        let space = space.in_folder("/space");
        space.deliver_places().map(|(user, place)| format!("{user}: {place}")).collect::<Vec<_>>()
    };
    assert_eq!(places("delivered"), ["insights: /space/delivered"]);
    assert_eq!(
        places("[delivered, 's3://bucket/x', 'https://example.com/reports']"),
        ["insights: /space/delivered", "insights: s3://bucket/x", "insights: https://example.com/reports"]
    );
    assert_eq!(places("[]"), [""; 0]);
    for wrong in ["http://example.com/x", "'https://example.com/?sig=secret'", "[a, [b]]", "{a: b}", "7"] {
        let text = changed(&[("roles: [user]", &format!("roles: [user]\n    deliver: {wrong}"))]);
        let error = Space::parse(&text).unwrap_err();
        assert!(matches!(error, Error::Syntax { .. }), "{wrong}: {error}");
        assert!(!error.to_string().contains("secret") && error.remedy().is_some(), "{wrong}: {error}");
    }
}

#[test]
fn a_key_file_given_as_space_file_is_refused_without_repeating_it() {
    for text in ["# created: now\nDATAFUSE-SECRET-KEY-1QQQSECRET\n", "workload: datafuse-secret-key-1qqqSECRET"] {
        let error = Space::parse(text).unwrap_err();
        assert!(matches!(error, Error::SecretInSpaceFile { .. }));
        assert!(!format!("{error}{error:?}{:?}", error.remedy()).contains("SECRET\""), "{error}");
        assert!(!format!("{error:?}").to_uppercase().contains("QQQ"));
    }
}

#[test]
fn a_missing_or_unreadable_file_is_told_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("space.yaml");
    let error = Space::read(&path).unwrap_err();
    assert!(matches!(error, Error::NoFile { .. }));
    assert!(error.remedy().unwrap().contains("--space"));
    std::fs::write(&path, [0xff, 0xfe, 0x00]).unwrap();
    assert!(matches!(Space::read(&path), Err(Error::NotText { .. })));
    std::fs::write(&path, "id: [").unwrap();
    let error = Space::read(&path).unwrap_err();
    assert!(error.to_string().contains("space.yaml, line "), "{error}");
}

#[test]
fn the_usual_places_may_be_left_out() {
    let text: String = example::yaml()
        .lines()
        .filter(|line| {
            !["mailbox:", "queue:", "state:", "outputs:", "policy:", "  min_count:"].iter().any(|f| line.starts_with(f))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(Space::parse(&text).unwrap(), example::space());
}

#[test]
fn a_founded_space_has_the_usual_shape() {
    let mut draft = Draft::new("retail-2026".parse().unwrap(), name(1));
    draft.holders = vec![(id("globex"), name(3)), (id("acme"), name(2)), (id("initech"), name(4))];
    draft.users = vec![id("insights"), id("acme")];
    draft.kinds = vec![Kind::single("email".parse().unwrap(), Profile::EmailV1, None)];
    let space = Space::found(draft.clone(), [7; 32]).unwrap();
    let stewards: Vec<_> = space.stewards().map(|(id, _)| id.as_str()).collect();
    assert_eq!(stewards, ["globex", "acme"]);
    assert!(space.participant(&id("acme")).unwrap().is_user());
    assert_eq!(
        space.dataset_location(&id("acme"), &Draft::DATASET.parse().unwrap()).unwrap(),
        Location::Path("datasets/acme.parquet".into())
    );

    draft.holders.push((id("acme"), name(5)));
    assert!(matches!(Space::found(draft.clone(), [7; 32]), Err(Error::Contract { .. })));
    draft.holders.truncate(1);
    assert!(matches!(Space::found(draft, [7; 32]), Err(Error::Contract { .. })));
}

#[test]
fn nonces_differ() {
    assert_ne!(Space::draw_nonce().unwrap(), Space::draw_nonce().unwrap());
}

#[test]
fn what_is_written_says_where_to_put_what() {
    let text = example::space().to_yaml();
    for words in ["# recipient: age1...", "rediss://", "at least two", "datafuse/v1"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(Space::parse(&text).unwrap(), example::space());
}

fn words() -> impl Strategy<Value = String> {
    // Names that some YAML reader takes for a number, a truth value or nothing.
    let taken =
        prop::sample::select(vec!["null", "true", "no", "on", "0", "1e3", "0x1f", "1.5", "nan", "1_000", "2026-01-01"]);
    prop_oneof![taken.prop_map(str::to_owned), "[a-z0-9][a-z0-9._-]{0,12}"]
}

fn paths() -> impl Strategy<Value = String> {
    "[a-z#:'\" &*!{}\\[\\],.-]{0,6}[a-zé😀]{1,4}[#:'\" \\\\-]{0,3}[a-z]"
        .prop_filter("no address", |p| !p.contains("://"))
}

prop_compose! {
    fn parts()(
        space in words(),
        names in prop::collection::btree_set(words(), 2..5),
        kinds in prop::collection::btree_set(words(), 1..4),
        places in prop::collection::btree_set(paths(), 8),
        min_counts in prop::collection::vec(prop::option::of(1u64..9), 5),
        nonce: [u8; 32],
        redis: bool,
    ) -> Parts {
        let places: Vec<PathBuf> = places.into_iter().map(Into::into).collect();
        let participants: BTreeMap<ParticipantId, Participant> = names.iter().enumerate().map(|(i, text)| {
            let seed = 10 + 10 * i as u64;
            let location = match i {
                3 => Location::Url("https://example.com/a%20b?sig='\"#x".parse().unwrap()),
                _ => Location::Path(places[4 + i].clone()),
            };
            let participant = Participant {
                roles: if i == 1 { [Role::Holder, Role::User].into() } else { [Role::Holder].into() },
                name: Some(name(seed)),
                former: (1..=i as u64).map(|former| name(seed + former)).collect(),
                datasets: [(text.parse().unwrap(), Dataset::protected(location))].into(),
                recipient: None,
                deliver: match i {
                    1 => [
                        vec![DeliverPlace::Folder(format!("delivered {text}'\"#").into())],
                        ["s3://bucket/a%20b'", "https://example.com:8443/a%20b'"][..nonce[1] as usize % 3]
                            .iter()
                            .map(|text| text.parse().unwrap())
                            .collect(),
                    ]
                    .concat(),
                    _ => Vec::new(),
                },
                policy: Policy {
                    min_count: min_counts[i],
                    reports_per_pair_per_day: min_counts[4 - i],
                    lookups: (i == 2).then(|| lookups(&nonce)),
                    ..Policy::default()
                },
            };
            (text.parse().unwrap(), participant)
        }).collect();
        let kinds: Vec<Kind> = kinds.iter().enumerate().map(|(i, text)| {
            let column = |name: &str, profile, region: Option<&str>| Column {
                name: name.to_owned(), profile, default_region: region.map(Into::into),
            };
            let columns = match i {
                0 => vec![column(text, Profile::PhoneE164V1, Some("NO"))],
                1 => vec![column("a", Profile::TextV1, None), column("null", Profile::PhoneE164V1, Some("BE"))],
                _ => vec![column("other", Profile::ExactV1, None)],
            };
            Kind::new(text.parse().unwrap(), columns).unwrap()
        }).collect();
        let order = kinds.iter().rev().map(|kind: &Kind| kind.name().clone()).collect::<Vec<_>>();
        Parts {
            id: space.parse().unwrap(),
            nonce,
            workload: name(1),
            workload_former: vec![name(2)],
            stewards: participants.keys().rev().take(2).cloned().collect(),
            kinds,
            participants,
            mailbox: match nonce[0] % 3 {
                0 => MailboxPlace::Bucket("abfss://container@account.dfs.core.windows.net/a%20b'\"".parse().unwrap()),
                1 => MailboxPlace::Http("https://example.com:8443/a%20b'\"".parse().unwrap()),
                _ => MailboxPlace::Folder(places[0].clone()),
            },
            queue: if redis {
                QueuePlace::Redis("rediss://user:pass@example.com:6380/1".parse().unwrap())
            } else {
                QueuePlace::Folder(places[1].clone())
            },
            state: places[2].clone(),
            outputs: places[3].clone(),
            policy: Policy {
                min_count: Some(4),
                differencing_guard: min_counts[2],
                rounding: min_counts[0],
                outputs: redis.then(|| [Output::All, Output::AtLeast].into()),
                lookups: redis.then(|| lookups(&nonce)),
                ..Policy::default()
            },
            analyses: Analyses { waterfall: if order.len() > 1 { order } else { Vec::new() }, ..Analyses::default() },
        }
    }
}

/// A section with some of its fields.
fn lookups(nonce: &[u8; 32]) -> Lookups {
    Lookups {
        allowed: nonce[2].is_multiple_of(2),
        askers: None,
        answer: nonce[3].is_multiple_of(2).then_some(LookupAnswerForm::Count),
        at_least: nonce[4].is_multiple_of(2).then_some(2),
        per_day: nonce[5].is_multiple_of(2).then_some(0),
        min_rows: nonce[6].is_multiple_of(2).then_some(10),
        bare: nonce[7].is_multiple_of(2).then(Default::default),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_written_reads_back_the_same(parts in parts()) {
        let Ok(space) = contract::conclude(parts) else {
            // Two of the drawn places were one: not what this is about.
            return Err(TestCaseError::reject("places coincide"));
        };
        let text = space.to_yaml();
        let again = Space::parse(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(again.root(), space.root());
        prop_assert_eq!(again, space);
    }
}

/// The policy of one participant, as random lines of its section.
fn policies() -> impl Strategy<Value = Vec<[Option<u64>; 4]>> {
    prop::collection::vec(prop::array::uniform4(prop::option::of(1_u64..30)), 3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn of_each_rule_the_strictest_wins_whatever_the_order_of_participants(
        policies in policies(), lists in prop::collection::vec(prop::option::of(0..63_u8), 3), swap in any::<bool>(),
    ) {
        let ids = ["acme", "globex"];
        let outputs = |mask: u8| -> Vec<Output> {
            Output::ALL.into_iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, output)| output).collect()
        };
        let section = |index: usize| {
            let [min_count, guard, per_day, rounding] = policies[index];
            let names = ["min_count", "differencing_guard", "reports_per_pair_per_day", "rounding"];
            let rules = names.iter().zip([min_count, guard, per_day, rounding]).filter_map(|(n, l)| Some(format!("{n}: {}", l?)));
            let list = lists[index].map(|mask| outputs(mask | 1));
            let list = list.map(|list| format!("outputs: [{}]", list.iter().map(|o| o.as_str()).collect::<Vec<_>>().join(", ")));
            format!("policy: {{ {} }}", rules.chain(list).collect::<Vec<_>>().join(", "))
        };
        let yaml = example::yaml();
        let own = yaml.find("policy:\n").unwrap();
        let mut yaml = format!("{}{}\n", &yaml[..own], section(2));
        for (index, id) in ids.iter().enumerate() {
            yaml = yaml.replacen(&format!("  {id}:\n"), &format!("  {id}:\n    {}\n", section(index)), 1);
        }
        if swap {
            // The participants in the other order.
            let at = |needle: &str| yaml.find(needle).unwrap();
            let (acme, globex, after) = (at("  acme:\n"), at("  globex:\n"), at("  insights:\n"));
            yaml = format!("{}{}{}{}", &yaml[..acme], &yaml[globex..after], &yaml[acme..globex], &yaml[after..]);
        }
        let space = Space::parse(&yaml).map_err(|error| TestCaseError::fail(format!("{error}\n{yaml}")))?;
        let (acme, globex) = ("acme".parse().unwrap(), "globex".parse().unwrap());
        let of = |rule: usize| policies.iter().filter_map(move |policy| policy[rule]);
        let limit = |rule| space.strictest(rule, &[&acme, &globex]).map(|strictest| strictest.limit);
        prop_assert_eq!(space.min_count(), of(0).max().unwrap_or(1));
        prop_assert_eq!(limit(Rule::DifferencingGuard), of(1).max());
        prop_assert_eq!(limit(Rule::ReportsPerPairPerDay), of(2).min());
        prop_assert_eq!(limit(Rule::Rounding), of(3).max());
        prop_assert_eq!(space.strictest(Rule::Rounding, &[]).map(|s| s.limit), of(3).max());
        // A list allows what it names, and the sums of it.
        let allowed = |mask: Option<u8>, output: Output| mask.is_none_or(|mask| {
            let listed = outputs(mask | 1);
            let sums = listed.contains(&Output::Regions)
                && matches!(output, Output::All | Output::Pairwise | Output::AtLeast);
            listed.contains(&output) || sums
        });
        let left_out: Vec<_> = space.outputs_left_out().iter().map(|left_out| left_out.output).collect();
        for output in Output::ALL {
            prop_assert_eq!(left_out.contains(&output), !lists.iter().all(|mask| allowed(*mask, output)), "{}", output);
        }
    }
}
