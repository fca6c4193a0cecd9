//! Instructions for a graph of tests.

use std::collections::HashMap;

use super::chain::AH;
use super::graph::{ACCEPT, Graph, Node};
use super::values::{Hop, Test, Val, Value, Values, With};
use crate::filter::expr::tree::Binary;
use crate::filter::op::{Comparison, Width};
use crate::kernel::filter::{BPF_MAXINSNS, BPF_MEMWORDS, SockFilter};

/// The contents of the registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Registers {
    a: Option<Val>,
    x: Option<Val>,
}

/// The instructions of one test: what it loads, and how it branches.
struct Block {
    node: Node,
    code: Vec<SockFilter>,
    yes: Node,
    no: Node,
}

/// The program of a graph.
pub(super) fn program(
    graph: &Graph,
    root: Node,
    values: &Values,
) -> Result<Vec<SockFilter>, String> {
    let mut before: Vec<Option<Registers>> = vec![None; graph.len()];
    before[root] = Some(Registers::default());
    let mut blocks = Vec::new();
    for node in (2..graph.len()).rev() {
        let (Some(step), Some(registers)) = (graph.step(node), before[node]) else {
            continue;
        };
        let mut code = Code {
            values,
            registers,
            code: Vec::new(),
        };
        code.test(step.test)?;
        for to in [step.yes, step.no] {
            before[to] = Some(match before[to] {
                None => code.registers,
                Some(other) => Registers {
                    a: other.a.filter(|a| code.registers.a == Some(*a)),
                    x: other.x.filter(|x| code.registers.x == Some(*x)),
                },
            });
        }
        blocks.push(Block {
            node,
            code: code.code,
            yes: step.yes,
            no: step.no,
        });
    }
    let blocks = merged(blocks);
    let root = blocks.first().map_or(root, |first| first.node);
    assemble(&blocks, root, graph.len())
}

/// Keeps one of those blocks that do the same: compare whatever was loaded before.
fn merged(mut blocks: Vec<Block>) -> Vec<Block> {
    let mut places: HashMap<(Vec<SockFilter>, Node, Node), Node> = HashMap::new();
    let mut kept: HashMap<Node, Node> = HashMap::new();
    // From the last to the first: a block leads to later ones, and the last of equal ones stays.
    for block in blocks.iter_mut().rev() {
        for to in [&mut block.yes, &mut block.no] {
            *to = kept.get(to).copied().unwrap_or(*to);
        }
        let same = (block.code.clone(), block.yes, block.no);
        let node = *places.entry(same).or_insert(block.node);
        kept.insert(block.node, node);
    }
    blocks.retain(|block| kept.get(&block.node) == Some(&block.node));
    blocks
}

/// Places the blocks one after the other, and the verdicts behind them: from the last instruction
/// to the first, so that the distance to everything behind is known.
fn assemble(blocks: &[Block], root: Node, nodes: usize) -> Result<Vec<SockFilter>, String> {
    const ACCEPT_ALL: SockFilter = SockFilter::stmt(0x06, u32::MAX);
    const REJECT_ALL: SockFilter = SockFilter::stmt(0x06, 0);
    if root < 2 {
        let verdict = if root == ACCEPT {
            ACCEPT_ALL
        } else {
            REJECT_ALL
        };
        return Ok(vec![verdict]);
    }
    let mut backwards = vec![REJECT_ALL, ACCEPT_ALL];
    // Each node, counted from the end, and the last jump that leads to it.
    let mut places = vec![0; nodes];
    places[ACCEPT] = 1;
    let mut jumps: HashMap<Node, usize> = HashMap::new();
    for block in blocks.iter().rev() {
        let targets = [block.yes, block.no];
        let reach = |at: usize, place: usize| u8::try_from(at - place - 1).ok();
        let distances = loop {
            let at = backwards.len();
            let distance = |to: &Node| {
                let by_jump = || reach(at, *jumps.get(to)?);
                reach(at, places[*to]).or_else(by_jump)
            };
            match targets.iter().find(|to| distance(to).is_none()) {
                // A branch has 8 bits for its distance, a jump 32.
                Some(to) => {
                    let far = at - places[*to] - 1;
                    backwards.push(SockFilter::stmt(0x05, far as u32));
                    jumps.insert(*to, at);
                }
                None => break targets.map(|to| distance(&to).unwrap_or(0)),
            }
        };
        let mut code = block.code.clone();
        if let Some(branch) = code.last_mut() {
            [branch.jt, branch.jf] = distances;
        }
        backwards.extend(code.iter().rev());
        places[block.node] = backwards.len() - 1;
    }
    if backwards.len() > BPF_MAXINSNS {
        let len = backwards.len();
        return Err(format!(
            "it takes {len} instructions; a program has up to {BPF_MAXINSNS}"
        ));
    }
    backwards.reverse();
    Ok(backwards)
}

/// The instructions of a block as they are written, and what the registers hold behind them.
struct Code<'a> {
    values: &'a Values,
    registers: Registers,
    code: Vec<SockFilter>,
}

impl Code<'_> {
    fn push(&mut self, code: u16, k: u32) {
        self.code.push(SockFilter::stmt(code, k));
    }

    fn test(&mut self, test: Test) -> Result<(), String> {
        let code = match test.cond {
            Comparison::Eq => 0x15,
            Comparison::Gt => 0x25,
            Comparison::Ge => 0x35,
            Comparison::Set => 0x45,
        };
        match test.with {
            With::Const(k) => {
                self.load(test.val, 0)?;
                self.push(code, k);
            }
            With::Val(with) => {
                self.load_both(test.val, with, 0)?;
                self.push(code | 0x08, 0);
            }
        }
        Ok(())
    }

    /// Loads a number into A; the words of memory from `free` on may be used.
    fn load(&mut self, val: Val, free: u32) -> Result<(), String> {
        if self.registers.a == Some(val) {
            return Ok(());
        }
        let absolute = |width| match width {
            Width::Word => 0x20,
            Width::Half => 0x28,
            Width::Byte => 0x30,
        };
        match self.values.get(val) {
            Value::Const(k) => self.push(0x00, k),
            Value::Length => self.push(0x80, 0),
            Value::Ancillary(k) => self.push(0x20, k),
            Value::Abs(width, k) => self.push(absolute(width), k),
            Value::Ind(width, index, k) => {
                self.load_x(index, free)?;
                self.push(absolute(width) + 0x20, k);
            }
            Value::HeaderLength(_) => {
                self.load_x(val, free)?;
                self.push(0x87, 0);
            }
            Value::Negate(inside) => {
                self.load(inside, free)?;
                self.push(0x84, 0);
            }
            Value::NextKind(hop) => self.load_next(hop, free)?,
            Value::NextPlace(hop) => {
                self.load_next(hop, free)?;
                self.push(0x87, 0);
            }
            Value::Binary(operator, left, right) => {
                let code = operation(operator);
                match self.values.constant(right) {
                    Some(k) => {
                        self.load(left, free)?;
                        self.push(code, k);
                    }
                    None => {
                        self.load_both(left, right, free)?;
                        self.push(code | 0x08, 0);
                    }
                }
            }
        }
        self.registers.a = Some(val);
        Ok(())
    }

    /// Loads the kind of the next header into A and its place into X, from those of the header.
    fn load_next(&mut self, hop: Hop, free: u32) -> Result<(), String> {
        let own = Registers {
            a: Some(hop.kind),
            x: Some(hop.place),
        };
        if self.registers != own {
            match self.values.get(hop.place) {
                Value::NextPlace(before) => self.load_next(before, free)?,
                _ => self.load_both(hop.kind, hop.place, free)?,
            }
        }
        if free == BPF_MEMWORDS {
            return Err(no_memory());
        }
        // The kind aside, and the length: that of an authentication header is in words of 4 bytes
        // less 2, that of others in words of 8 bytes less 1.
        let lengths: &[(u32, u32)] = match hop.has_extensions {
            true => &[(2, 2), (1, 3)],
            false => &[(2, 2)],
        };
        if hop.has_extensions {
            self.code.push(SockFilter {
                jf: 6,
                ..SockFilter::stmt(0x15, AH)
            });
        }
        for (n, (more, shift)) in lengths.iter().enumerate() {
            self.push(0x50, hop.begin);
            self.push(0x02, free);
            self.push(0x50, hop.begin + 1);
            self.push(0x04, *more);
            self.push(0x64, *shift);
            if n + 1 < lengths.len() {
                self.push(0x05, 5);
            }
        }
        self.push(0x0c, 0);
        self.push(0x07, 0);
        self.push(0x60, free);
        self.registers = Registers {
            a: self.values.known(Value::NextKind(hop)),
            x: self.values.known(Value::NextPlace(hop)),
        };
        Ok(())
    }

    fn load_x(&mut self, val: Val, free: u32) -> Result<(), String> {
        if self.registers.x == Some(val) {
            return Ok(());
        }
        match self.values.get(val) {
            Value::HeaderLength(at) => self.push(0xb1, at),
            Value::Const(k) => self.push(0x01, k),
            _ => {
                self.load(val, free)?;
                self.push(0x07, 0);
            }
        }
        self.registers.x = Some(val);
        Ok(())
    }

    /// Loads one number into A and another one into X.
    fn load_both(&mut self, a: Val, x: Val, free: u32) -> Result<(), String> {
        if self.keeps_x(a, x) {
            self.load_x(x, free)?;
            return self.load(a, free);
        }
        if free == BPF_MEMWORDS {
            return Err(no_memory());
        }
        self.load(a, free)?;
        self.push(0x02, free);
        self.load_x(x, free + 1)?;
        self.push(0x60, free);
        self.registers.a = Some(a);
        Ok(())
    }

    /// Whether a number can be loaded into A while X holds another one, or by means of that one.
    fn keeps_x(&self, val: Val, x: Val) -> bool {
        match self.values.get(val) {
            Value::Const(_) | Value::Length | Value::Ancillary(_) | Value::Abs(..) => true,
            Value::Ind(_, index, _) => index == x,
            Value::HeaderLength(_) => val == x,
            Value::NextKind(_) | Value::NextPlace(_) => false,
            Value::Negate(inside) => self.keeps_x(inside, x),
            Value::Binary(_, left, right) => {
                self.values.constant(right).is_some() && self.keeps_x(left, x)
            }
        }
    }
}

fn no_memory() -> String {
    "its arithmetic needs more than the 16 words of memory of a program".into()
}

const fn operation(operator: Binary) -> u16 {
    match operator {
        Binary::Add => 0x04,
        Binary::Sub => 0x14,
        Binary::Mul => 0x24,
        Binary::Div => 0x34,
        Binary::Or => 0x44,
        Binary::And => 0x54,
        Binary::Shl => 0x64,
        Binary::Shr => 0x74,
        Binary::Mod => 0x94,
        Binary::Xor => 0xa4,
    }
}
