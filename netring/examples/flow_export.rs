//! Writes the flows of a capture file: as IPFIX if the name ends in `.ipfix`, as Zeek's conn.log if
//! it ends in `.log`, or as lines of JSON:
//! `cargo run --features pcap --example flow_export -- trace.pcapng flows.ipfix`.

mod outcome;

use std::io::{BufWriter, Write};
use std::{fs::File, path::Path};

use futures::StreamExt;
use netring::flow::export::{ConnLog, Ipfix, JsonLines};
use netring::flow::extract::FiveTuple;
use netring::{AsyncSource, Timestamp, pcap::CaptureFile};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("flow_export FROM TO");
    let (from, to) = (args.path()?, args.path()?);
    args.end()?;
    let source = AsyncSource::replay(CaptureFile::open(from)?);
    let mut file = BufWriter::new(File::create_new(&to)?);
    let is = |extension| Path::new(&to).extension().is_some_and(|it| it == extension);
    let (json, log, mut ipfix) = (JsonLines::new(), ConnLog::new(), Ipfix::new());
    let (is_log, mut out) = (is("log"), Vec::new());
    is_log.then(|| log.header(Timestamp::now(), &mut out));
    let mut records = source.record_stream(FiveTuple::bidirectional());
    while let Some(record) = records.next().await.transpose()? {
        match is_log {
            true => log.record(&record, &mut out),
            false if is("ipfix") => ipfix.record(&record, |it| out.extend_from_slice(it)),
            false => json.record(&record, &mut out),
        }
        file.write_all(&out)?;
        out.clear();
    }
    ipfix.flush(|message| out.extend_from_slice(message));
    is_log.then(|| log.footer(Timestamp::now(), &mut out));
    file.write_all(&out)?;
    Ok(file.flush()?)
}
