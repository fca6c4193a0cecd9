//! Prints the requests of HTTP clients:
//! `cargo run --features http --example http_requests -- eth0 80 10`. It ends after that many.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use futures::StreamExt;
use netring::AsyncCapture;
use netring::flow::extract::FiveTuple;
use netring::flow::flowscope::http::{HttpMessage::Request, HttpParser};
use netring::flow::reassembly::Subscription;
use netring::flow::session::{SessionEvent::Message, StreamParser};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("http_requests INTERFACE [PORT [REQUESTS]]");
    let (interface, port) = (args.interface()?, args.number("PORT", 80)?);
    let mut wanted = args.number("REQUESTS", 10)?;
    args.end()?;
    let web = Subscription::all().ports([u16::try_from(port)?]);
    let capture = AsyncCapture::open(&interface)?;
    let parser = || Some(StreamParser::new(HttpParser::default()));
    let mut sessions = capture.session_stream(FiveTuple::bidirectional(), web, move |_| parser());
    while wanted > 0
        && let Some(event) = sessions.next().await.transpose()?
    {
        if let Message { message, .. } = event
            && let Request(request) = message
        {
            let mut headers = request.headers.iter();
            let host = headers.find(|(name, _)| name.eq_ignore_ascii_case(b"host"));
            let host = host.map_or(&b"-"[..], |(_, value)| value).escape_ascii();
            let (method, path) = (request.method.escape_ascii(), request.path.escape_ascii());
            println!("{method} {host} {path}");
            wanted -= 1;
        }
    }
    Ok(())
}
