//! Servers that a mailbox may meet and should not trust: slow, broken, endless, lying. Each costs a bounded time and memory, and
//! gives an error that says what is wrong and what to do.
#![allow(clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use datafuse_space::{
    Error, HttpMailbox, Mailbox, MailboxPlace, MessageName, ObjectStoreMailbox,
    mailbox::{Patience, Trouble},
};

const HURRIED: Patience = Patience {
    connect: Duration::from_millis(500),
    read: Duration::from_millis(400),
    total: Duration::from_millis(800),
    retries: 1,
};
/// Enough for a machine under load; a wait without end is longer.
const SOON: Duration = Duration::from_secs(20);

/// Answers every connection, on threads that end with the test.
fn server(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || answer(stream));
        }
    });
    address
}

/// Reads a request and gives its head. The body is read too: closing with unread bytes would break off the answer.
fn request(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")).and_then(|text| text.trim().parse().ok());
    let _ = stream.read_exact(&mut vec![0; length.unwrap_or(0)]);
    head
}

/// A server that gives one answer to everything.
fn says(status: &'static str, headers: &'static str, body: impl Into<Vec<u8>>) -> SocketAddr {
    let body = body.into();
    server(move |mut stream| {
        request(&mut stream);
        let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
    })
}

fn mailbox(address: SocketAddr) -> HttpMailbox {
    let Ok(MailboxPlace::Http(url)) = format!("http://{address}/mailbox").parse() else { panic!("{address}") };
    HttpMailbox::open(&url, HURRIED).unwrap()
}

fn bucket(address: SocketAddr) -> ObjectStoreMailbox {
    let endpoint = format!("http://{address}");
    let variables = [
        ("AWS_ENDPOINT", endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIASECRET"),
        ("AWS_SECRET_ACCESS_KEY", "wrongsecret"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let Ok(MailboxPlace::Bucket(url)) = "s3://bucket/prefix".parse() else { panic!("no bucket") };
    ObjectStoreMailbox::open(&url, variables.into_iter(), HURRIED).unwrap()
}

fn name(text: &str) -> MessageName {
    text.parse().unwrap()
}

/// The errors of listing, reading and putting, each within bounded time, with place and remedy.
fn troubles(mailbox: &dyn Mailbox, place: &str) -> [Trouble; 3] {
    let began = Instant::now();
    let errors = [
        mailbox.list().map(drop).unwrap_err(),
        mailbox.read(&name("a.msg")).map(drop).unwrap_err(),
        mailbox.put(&name("a.msg"), b"x").unwrap_err(),
    ];
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    errors.map(|error| {
        assert!(error.to_string().contains(place), "{error}");
        assert!(error.remedy().is_some_and(|remedy| !remedy.is_empty()), "{error}");
        assert!(!format!("{error}{error:?}").to_lowercase().contains("secret"), "{error:?}");
        assert!(!error.to_string().contains(|c: char| c.is_control()), "{error:?}");
        match error {
            Error::Mailbox { trouble, .. } => trouble,
            other => panic!("{other:?}"),
        }
    })
}

fn all(troubles: [Trouble; 3], is_so: impl Fn(&Trouble) -> bool) {
    for trouble in troubles {
        assert!(is_so(&trouble), "{trouble:?}");
    }
}

#[test]
fn a_server_that_never_answers_is_waited_for_no_longer_than_said() {
    let hangs = || {
        server(|mut stream| {
            let _ = stream.read_to_end(&mut Vec::new());
        })
    };
    all(troubles(&mailbox(hangs()), "http://127.0.0.1"), |trouble| matches!(trouble, Trouble::TimedOut { .. }));
    all(troubles(&bucket(hangs()), "s3://bucket/prefix"), |trouble| matches!(trouble, Trouble::TimedOut { .. }));
}

#[test]
fn a_server_that_gives_a_byte_at_a_time_is_waited_for_no_longer_than_said() {
    let address = server(|mut stream| {
        request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let began = Instant::now();
    assert!(matches!(mailbox(address).list(), Err(Error::Mailbox { trouble: Trouble::TimedOut { .. }, .. })));
    assert!(bucket(address).list().is_err());
    assert!(began.elapsed() < SOON);
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = |trouble: &Trouble| matches!(trouble, Trouble::Unreachable { reason } if reason.contains("refused"));
    all(troubles(&mailbox(gone), &gone.to_string()), refused);
    all(troubles(&bucket(gone), "s3://bucket/prefix"), refused);
}

#[test]
fn a_server_without_tls_is_not_spoken_to_where_tls_is_due() {
    let address = server(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let Ok(MailboxPlace::Http(url)) = format!("https://{address}/mailbox").parse() else { panic!("{address}") };
    let unreachable = |trouble: &Trouble| matches!(trouble, Trouble::Unreachable { .. });
    all(troubles(&HttpMailbox::open(&url, HURRIED).unwrap(), "https://127.0.0.1"), unreachable);
}

#[test]
fn an_answer_that_ends_in_the_middle_is_no_answer() {
    let cut = || {
        server(|mut stream| {
            let what = request(&mut stream);
            let status = if what.starts_with("put") { "500 Oops" } else { "200 OK" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 100\r\netag: \"x\"\r\n\r\n[\"a.msg\"");
            let _ = stream.write_all(answer.as_bytes());
        })
    };
    let [list, read, _] = troubles(&mailbox(cut()), "http://127.0.0.1");
    assert_eq!([list, read], [Trouble::BrokenOff, Trouble::BrokenOff]);
    assert!(bucket(cut()).read(&name("a.msg")).is_err());
    assert!(bucket(cut()).list().is_err());
}

#[test]
fn a_server_that_fails_is_told_with_its_status_and_its_own_words() {
    let body = r#"{"error": "out of \u001b[31mpaper", "try": "later"}"#;
    let failing = |trouble: &Trouble| matches!(trouble, Trouble::Status { status: 500, .. }) && trouble.is_retryable();
    let [list, read, put] = troubles(&mailbox(says("500 Oops", "", body)), "http://127.0.0.1");
    assert_eq!(list, Trouble::Status { status: 500, said: "out of [31mpaper".to_owned() });
    all([list, read, put], failing);
    let body = "<Error><Code>InternalError</Code></Error>";
    all(troubles(&bucket(says("500 Oops", "", body)), "s3://bucket/prefix"), failing);
}

#[test]
fn wrong_credentials_are_told_without_repeating_any() {
    let body = "<Error><Code>InvalidAccessKeyId</Code><AWSAccessKeyId>AKIASECRET</AWSAccessKeyId></Error>";
    let refused = Trouble::Refused { status: 403, said: "InvalidAccessKeyId".to_owned() };
    all(troubles(&bucket(says("403 Forbidden", "", body)), "s3://bucket/prefix"), |trouble| *trouble == refused);
    let refused = |trouble: &Trouble| matches!(trouble, Trouble::Refused { status: 401 | 403, .. });
    all(troubles(&mailbox(says("403 Forbidden", "", "secret")), "http://127.0.0.1"), refused);
    all(troubles(&mailbox(says("401 Unauthorized", "", "secret")), "http://127.0.0.1"), refused);
}

#[test]
fn an_address_without_a_mailbox_is_not_an_empty_one() {
    let absent = |trouble: &Trouble| matches!(trouble, Trouble::Absent { .. });
    all(troubles(&mailbox(says("404 Not Found", "", "<html>nothing here</html>")), "http://127.0.0.1"), absent);
    let elsewhere = r#"{"error": "there is nothing at this address", "try": "the mailbox is at /mailbox"}"#;
    all(troubles(&mailbox(says("404 Not Found", "", elsewhere)), "http://127.0.0.1"), absent);
    let page = mailbox(says("200 OK", "", "<html>welcome</html>"));
    assert!(matches!(page.list(), Err(Error::Mailbox { trouble: Trouble::NotAMailbox { .. }, .. })));
    for body in ["{}", "[1]", "[\"a.msg\"", "null", ""] {
        let listed = mailbox(says("200 OK", "", body)).list();
        assert!(matches!(listed, Err(Error::Mailbox { trouble: Trouble::NotAMailbox { .. }, .. })), "{body}");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let visits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&visits);
    let elsewhere = server(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let address = server(move |mut stream| {
            request(&mut stream);
            let answer = format!("HTTP/1.1 {status}\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
        });
        let redirects = |trouble: &Trouble| matches!(trouble, Trouble::Redirects { .. });
        all(troubles(&mailbox(address), "http://127.0.0.1"), redirects);
    }
    assert_eq!(visits.load(Ordering::SeqCst), 0);
}

#[test]
fn a_server_that_closes_after_each_answer_without_saying_so_harms_nothing() {
    let address = server(|mut stream| {
        request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]");
    });
    let mailbox = mailbox(address);
    for _ in 0..50 {
        assert_eq!(mailbox.list().unwrap(), []);
        mailbox.put(&name("a.msg"), b"x").unwrap();
    }
}

#[test]
fn an_endless_answer_is_left_at_the_largest_that_can_be() {
    let sent_bytes = Arc::new(AtomicUsize::new(0));
    let endless = |status: &'static str| {
        let sent_bytes = Arc::clone(&sent_bytes);
        server(move |mut stream| {
            request(&mut stream);
            let head = format!("HTTP/1.1 {status}\r\ntransfer-encoding: chunked\r\n\r\n");
            let mut sent = stream.write_all(head.as_bytes());
            let piece = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
            while sent.is_ok() {
                sent_bytes.fetch_add(piece.len(), Ordering::SeqCst);
                sent = stream.write_all(&piece);
            }
        })
    };
    let unhurried = |address: SocketAddr| {
        let Ok(MailboxPlace::Http(url)) = format!("http://{address}/mailbox").parse() else { panic!("{address}") };
        HttpMailbox::open(&url, Patience::default()).unwrap()
    };
    let mailbox = unhurried(endless("200 OK"));
    assert!(matches!(mailbox.list(), Err(Error::Mailbox { trouble: Trouble::TooMuch { .. }, .. })));
    assert!(matches!(mailbox.read(&name("a.msg")), Err(Error::MessageTooLarge { .. })));
    mailbox.put(&name("a.msg"), b"x").unwrap();
    let refused = unhurried(endless("500 Oops")).put(&name("a.msg"), b"x");
    assert!(matches!(refused, Err(Error::Mailbox { trouble: Trouble::Status { status: 500, .. }, .. })));
    // The caps, and what the system's buffers take ahead of them.
    assert!(sent_bytes.load(Ordering::SeqCst) < 64 << 20);
}

#[test]
fn no_name_of_a_list_leads_anywhere_else() {
    let body = r#"["../x", "a/b.msg", "ok.msg", "..", "%2e%2e", "A.msg", "é.msg", "", "ok.msg", "\u0000.msg", "announcement-x.cbor"]"#;
    let listed = mailbox(says("200 OK", "", body)).list().unwrap();
    assert_eq!(listed, [name("announcement-x.cbor"), name("ok.msg")]);
}

#[test]
fn ten_million_bytes_of_names_are_refused() {
    let names: Vec<String> = (0..100_000).map(|i| format!("\"{i:0100}.msg\"")).collect();
    let body = format!("[{}]", names.join(","));
    assert!(body.len() > 10_000_000);
    let listed = mailbox(says("200 OK", "", body)).list();
    assert!(matches!(listed, Err(Error::Mailbox { trouble: Trouble::TooMuch { what: "messages", .. }, .. })));
}

#[test]
fn a_message_larger_than_it_says_it_is_is_refused() {
    let large = vec![b'x'; (1 << 20) + 1];
    let read = mailbox(says("200 OK", "", large.clone())).read(&name("a.msg"));
    assert!(matches!(read, Err(Error::MessageTooLarge { .. })), "{read:?}");
    let headers = "etag: \"x\"\r\nlast-modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n";
    let read = bucket(says("200 OK", headers, large)).read(&name("a.msg"));
    assert!(matches!(read, Err(Error::MessageTooLarge { .. })), "{read:?}");
}
