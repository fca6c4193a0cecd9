//! A folder of captures: their list, and the facts about each.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::expect;
use super::one::Found;
use crate::Result;

/// Tags of a capture that ends in the middle of a packet, or is damaged there.
const MAY_BE_CUT: [&str; 2] = ["file-cut-short", "file-damaged"];

/// The folder of the flows.
const ORACLE: &str = "oracle";

/// The list of captures.
const INDEX: &str = "index.tsv";

/// Reads `index.tsv` and `exact.txt`. Without the first, all captures of the folder are listed.
pub(super) fn read(dir: &Path) -> Result<Vec<Capture>> {
    if !dir.join(INDEX).exists() {
        return unlisted(dir);
    }
    let mut exact = BTreeMap::new();
    let columns = ["file", "packets", "flows"];
    for row in &Table::read(dir.join("exact.txt"), &columns)?.rows {
        let found = Exact {
            packets: row.number("packets", row.get("packets"))?,
            flows: row.number("flows", row.get("flows"))?,
        };
        if exact.insert(row.get("file").to_owned(), found).is_some() {
            return Err(row.broken("this capture is listed twice"));
        }
    }
    let mut captures = Vec::new();
    let mut names = HashSet::new();
    for row in &Table::read(dir.join(INDEX), &["file", "tags"])?.rows {
        let name = row.get("file").to_owned();
        if !names.insert(name.clone()) {
            return Err(row.broken("this capture is listed twice"));
        }
        let bytes = row.find("bytes").map(|bytes| row.number("bytes", bytes));
        captures.push(Capture {
            exact: exact.remove(&name),
            name,
            link_types: row.find("link types").unwrap_or("?").to_owned(),
            bytes: bytes.transpose()?,
            tags: row.get("tags").split(',').map(str::to_owned).collect(),
        });
    }
    if let Some(name) = exact.keys().next() {
        return Err(format!("exact.txt lists {name}, but index.tsv does not").into());
    }
    Ok(captures)
}

/// The captures of a folder without a list.
fn unlisted(dir: &Path) -> Result<Vec<Capture>> {
    let mut captures = Vec::new();
    for path in expect::files(dir)? {
        if expect::is_capture(&path) {
            let name = path.strip_prefix(dir)?.display().to_string();
            captures.push(Capture {
                exact: None,
                name,
                link_types: "?".to_owned(),
                bytes: None,
                // Nothing is known about it, so it may be.
                tags: vec![MAY_BE_CUT[0].to_owned()],
            });
        }
    }
    Ok(captures)
}

/// Whether a folder describes the contents of its captures.
pub(super) fn has_oracle(dir: &Path) -> bool {
    dir.join(INDEX).exists() || dir.join(ORACLE).exists()
}

/// A capture, as described by the folder.
pub(super) struct Capture {
    /// Its path in the folder.
    pub(super) name: String,
    /// Its link types, by their numbers in the registry.
    pub(super) link_types: String,
    bytes: Option<u64>,
    tags: Vec<String>,
    exact: Option<Exact>,
}

/// The figures of a capture whose oracle is certain.
struct Exact {
    packets: u64,
    flows: u64,
}

impl Capture {
    /// Whether it has a tag of this name.
    fn has_tag(&self, name: &str) -> bool {
        let names = self.tags.iter().map(|tag| tag.split('=').next());
        names.into_iter().any(|tag| tag == Some(name))
    }

    /// Its path, after a check of its size.
    pub(super) fn path(&self, dir: &Path) -> Result<PathBuf> {
        let path = dir.join(&self.name);
        let size = std::fs::metadata(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?
            .len();
        match self.bytes {
            Some(bytes) if bytes != size => {
                let path = path.display();
                Err(format!("{path} has {size} bytes, but {bytes} by index.tsv").into())
            }
            _ => Ok(path),
        }
    }

    /// The path of its flows. A capture that is listed as exact has them; some of the others do.
    pub(super) fn oracle(&self, dir: &Path) -> Option<PathBuf> {
        let name = self.name.replace('/', "__");
        let path = dir.join(ORACLE).join(format!("{name}.tsv"));
        (self.exact.is_some() || path.exists()).then_some(path)
    }

    /// One line for each fault found.
    pub(super) fn wrong(&self, found: Found) -> Vec<String> {
        let mut lines = found.differences;
        lines.extend(found.imbalance);
        if let Some(Exact { packets, flows, .. }) = self.exact {
            for (what, expected, found) in [
                ("packets", packets, found.packets),
                ("flows", flows, found.flows),
            ] {
                if found != expected {
                    lines.push(format!("{what} {found}, expected {expected}"));
                }
            }
        }
        let may_be_cut = MAY_BE_CUT.iter().any(|tag| self.has_tag(tag));
        lines.extend(found.fault.filter(|_| !may_be_cut));
        lines
    }
}

/// Lines of fields separated by tabs, below a line with their names.
struct Table {
    rows: Vec<Row>,
}

struct Row {
    place: String,
    fields: BTreeMap<String, String>,
}

impl Table {
    fn read(path: PathBuf, needed: &[&str]) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{shown}: {error}"))?;
        let mut lines = (1..).zip(text.lines());
        let (_, first) = lines.next().ok_or_else(|| format!("{shown} is empty"))?;
        let names: Vec<_> = first.trim_start_matches('#').split('\t').collect();
        if let Some(missing) = needed.iter().find(|name| !names.contains(name)) {
            return Err(format!("{shown}:1: there is no column {missing:?}").into());
        }
        let mut rows = Vec::new();
        for (number, line) in lines {
            let fields: Vec<_> = line.split('\t').collect();
            let place = format!("{shown}:{number}");
            if fields.len() != names.len() {
                let (have, need) = (fields.len(), names.len());
                return Err(format!("{place}: {have} fields for {need} columns").into());
            }
            let pairs = names.iter().zip(fields);
            let fields = pairs.map(|(name, field)| ((*name).to_owned(), field.to_owned()));
            rows.push(Row {
                place,
                fields: fields.collect(),
            });
        }
        Ok(Self { rows })
    }
}

impl Row {
    fn find(&self, column: &str) -> Option<&str> {
        self.fields.get(column).map(String::as_str)
    }

    /// The field in a column that [`Table::read`] required.
    fn get(&self, column: &str) -> &str {
        self.find(column).unwrap_or_default()
    }

    fn number<N: std::str::FromStr>(&self, column: &str, text: &str) -> Result<N> {
        text.parse()
            .map_err(|_| self.broken(&format!("{column}: {text:?} is not a number")))
    }

    fn broken(&self, why: &str) -> Box<dyn std::error::Error> {
        format!("{}: {why}", self.place).into()
    }
}
