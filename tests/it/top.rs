//! `dnsbld top`, as text: what happens at a running server, and what is said where there is none.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::listing::callout;
use crate::monitoring::{CALLER, everything, some_questions};
use crate::rbldnsd::free_port;
use crate::server::{PATIENCE, follow};

/// A `dnsbld top` whose output is read line by line; ended with the test.
struct Top(Child);

impl Drop for Top {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Start it with these arguments.
fn top(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dnsbld"));
    command.arg("top").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Run it to its end: exit code and what it said.
fn once(arguments: &[&str]) -> (Option<i32>, String) {
    let output = top(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

#[test]
fn what_happens_is_shown_as_it_happens() {
    let server = everything();
    let url = format!("http://{}", server.http);
    let (code, text) = once(&["--once", "--interval", "0.1", "--url", &url]);
    assert_eq!(code, Some(0), "{text}");
    for part in
        [&*format!("dnsbld {} at {}, up ", env!("CARGO_PKG_VERSION"), server.http), "\nqueries  0/s", "\nfeeder   "]
    {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(!text.contains('\x1b'), "{text:?}");

    let mut child = top(&["--interval", "0.2", "--url", &url]).spawn().unwrap();
    let lines = follow(child.stdout.take().unwrap());
    let mut top = Top(child);
    // Each is seen in some line; questions are asked again and again meanwhile.
    let see = |what: &str, seen: &dyn Fn(&str) -> bool, ask: &dyn Fn()| {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            ask();
            if lines.try_iter().any(|line| seen(&line)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("not seen: {what}");
    };
    // Its name, a rate, a half of them listed, entries, an age, ready.
    let busy = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        matches!(words[..], ["bl.test", rate, _, "%", "4", _, "ready"] if rate != "0")
    };
    see("questions", &busy, &|| some_questions(&server));
    // Written aside: a file that is read while it is written has any number of lines.
    let put = |name: &str, text: &str| {
        std::fs::write(server.path("aside"), text).unwrap();
        std::fs::rename(server.path("aside"), server.path(name)).unwrap();
    };
    put("dbl.zone", "evil.example\n.bad.example\nthird.example\n");
    see("new data", &|line| line.contains("dbl.test: new data, 3 entries (+1), read in "), &|| {});
    let mut log = std::fs::File::options().append(true).open(server.path("mail.log")).unwrap();
    log.write_all(callout(CALLER, 4, 0).as_bytes()).unwrap();
    see("a listing", &|line| line.ends_with("listings: 1 begun"), &|| {});
    put("bl.zone", "this is no list\n");
    see("a refusal", &|line| line.contains("bl.test: new data refused (a file is bad)"), &|| {});
    assert!(top.0.try_wait().unwrap().is_none(), "it goes on");

    // It outlives the server, and says that it is gone.
    drop(server);
    see("that the server is gone", &|line| line.contains("does not answer: "), &|| {});
    rustix::process::kill_process(rustix::process::Pid::from_child(&top.0), rustix::process::Signal::INT).unwrap();
    assert!(top.0.wait().unwrap().success(), "a signal is the ordinary end");
}

#[test]
fn where_there_is_no_server() {
    let (code, text) = once(&["--once", "--url", &format!("http://{}", free_port())]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("does not answer: ") && text.contains("is dnsbld running"), "{text}");
    let (code, text) = once(&["--url", "ftp://localhost"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("does not begin with http://; expected something like"), "{text}");
    // Somebody else: another page of metrics, another web server, no web server.
    let page = "HTTP/1.1 200 OK\r\ncontent-length: 17\r\nconnection: close\r\n\r\nnode_load1 0.25\n\n";
    for (answer, why) in [
        (page, "its /metrics has no dnsbld_build_info"),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "it answers 404 Not Found to /metrics"),
        ("220 mx ESMTP\r\n", "it does not speak HTTP"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let other = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // Read the request first: a connection that is closed with something unread is reset.
            std::io::Read::read(&mut stream, &mut [0; 4096]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let (code, text) = once(&["--once", "--interval", "0.1", "--url", &url]);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("is no dnsbld: ") && text.contains(why), "{why}: {text}");
        other.join().unwrap();
    }
}
