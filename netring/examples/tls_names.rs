//! Prints the server names that TLS clients request:
//! `cargo run --features tls --example tls_names -- eth0 443 10`. It ends after that many.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use futures::StreamExt;
use netring::AsyncCapture;
use netring::flow::extract::FiveTuple;
use netring::flow::flowscope::tls::{TlsMessage::ClientHello, TlsParser};
use netring::flow::reassembly::Subscription;
use netring::flow::session::{SessionEvent::Message, StreamParser};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("tls_names INTERFACE [PORT [CLIENTS]]");
    let (interface, port) = (args.interface()?, args.number("PORT", 443)?);
    let mut wanted = args.number("CLIENTS", 10)?;
    args.end()?;
    let secure = Subscription::all().ports([u16::try_from(port)?]);
    let capture = AsyncCapture::open(&interface)?;
    let parser = || Some(StreamParser::new(TlsParser::default()));
    let mut sessions =
        capture.session_stream(FiveTuple::bidirectional(), secure, move |_| parser());
    while wanted > 0 {
        let Some(event) = sessions.next().await.transpose()? else {
            break;
        };
        if let Message {
            key,
            message: ClientHello(hello),
            ..
        } = event
        {
            println!("{key} {}", hello.sni.as_deref().unwrap_or("-"));
            wanted -= 1;
        }
    }
    Ok(())
}
