//! A condition as a graph of tests, each of which leads to one of two others.

use std::collections::HashMap;

use super::values::{Bool, Test, Val, Value, Values, With, compute, holds};
use crate::filter::op::Comparison;
use crate::kernel::filter::BPF_MAXINSNS;

/// A node, by its place; the first two are the verdicts. A node leads to lower places only.
pub(super) type Node = usize;
pub(super) const REJECT: Node = 0;
pub(super) const ACCEPT: Node = 1;

/// More tests than this are never reduced to as many instructions as a program may have.
const MAX_TESTS: usize = 4 * BPF_MAXINSNS;

/// How many earlier outcomes are remembered on the way to a test.
const MAX_FACTS: usize = 64;

/// How many decided tests are passed at once: any number would make a long list slow.
const MAX_PASSED: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Step {
    pub(super) test: Test,
    pub(super) yes: Node,
    pub(super) no: Node,
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    /// Those of places 2 and up.
    steps: Vec<Step>,
    places: HashMap<Step, Node>,
}

impl Graph {
    /// The graph of a condition, and where it begins.
    pub(super) fn of(condition: &Bool, values: &Values) -> Result<(Self, Node), String> {
        let mut graph = Self::default();
        let mut root = graph.build(condition, ACCEPT, REJECT)?;
        if graph.steps.len() > MAX_TESTS {
            let tests = graph.steps.len();
            return Err(format!(
                "it takes {tests} tests; a program has up to {BPF_MAXINSNS} instructions"
            ));
        }
        // Each round can decide tests that the round before made decidable.
        for _ in 0..8 {
            let (next, next_root) = graph.threaded(root, values);
            let is_done = next.steps.len() == graph.steps.len();
            (graph, root) = (next, next_root);
            if is_done {
                break;
            }
        }
        Ok((graph, root))
    }

    pub(super) fn step(&self, node: Node) -> Option<Step> {
        self.steps.get(node.checked_sub(2)?).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len() + 2
    }

    fn add(&mut self, step: Step) -> Node {
        if step.yes == step.no {
            return step.yes;
        }
        let next = self.len();
        let place = *self.places.entry(step).or_insert(next);
        if place == next {
            self.steps.push(step);
        }
        place
    }

    /// From the last test to the first, so that each knows where it leads.
    fn build(&mut self, condition: &Bool, yes: Node, no: Node) -> Result<Node, String> {
        Ok(match condition {
            Bool::Is(true) => yes,
            Bool::Is(false) => no,
            Bool::Test(test) => self.add(Step {
                test: *test,
                yes,
                no,
            }),
            Bool::And(all) => {
                let mut next = yes;
                for part in all.iter().rev() {
                    next = self.build(part, next, no)?;
                }
                next
            }
            Bool::Or(any) => {
                let mut next = no;
                for part in any.iter().rev() {
                    next = self.build(part, yes, next)?;
                }
                next
            }
            Bool::Not(inside) => self.build(inside, no, yes)?,
            Bool::Unknown => {
                return Err(
                    "it reads bytes across a VLAN tag, or at a computed offset from the \
                            start of the frame, which a packet socket cannot: it has the tag \
                            aside"
                        .into(),
                );
            }
        })
    }

    /// Leads each test past those that the outcomes before it decide.
    fn threaded(&self, root: Node, values: &Values) -> (Self, Node) {
        let mut facts: Vec<Option<Vec<(Test, bool)>>> = vec![None; self.len()];
        let mut steps = self.steps.clone();
        facts[root] = Some(Vec::new());
        for node in (2..self.len()).rev() {
            // Nothing leads to it any more.
            let Some(known) = facts[node].take() else {
                continue;
            };
            let step = steps[node - 2];
            let mut lead = |outcome: bool, to: Node| {
                let mut known = known.clone();
                if known.len() == MAX_FACTS {
                    // That something is not one of many numbers says least.
                    let least =
                        |(test, outcome): &(Test, bool)| !outcome && test.cond == Comparison::Eq;
                    known.remove(known.iter().position(least).unwrap_or(0));
                }
                known.push((step.test, outcome));
                let to = self.past_decided(to, &known, values);
                match &mut facts[to] {
                    // Behind a verdict nothing is decided.
                    _ if to <= ACCEPT => {}
                    Some(common) => common.retain(|fact| known.contains(fact)),
                    none => *none = Some(known),
                }
                to
            };
            let (yes, no) = (lead(true, step.yes), lead(false, step.no));
            steps[node - 2] = Step { yes, no, ..step };
            facts[node] = Some(known);
        }
        self.kept(&steps, &facts, root)
    }

    /// The first test from here that the known outcomes do not decide, or one on the way to it.
    fn past_decided(&self, from: Node, known: &[(Test, bool)], values: &Values) -> Node {
        let mut to = from;
        for _ in 0..MAX_PASSED {
            let Some(next) = self.step(to) else {
                break;
            };
            match decide(next.test, known, values) {
                Some(true) => to = next.yes,
                Some(false) => to = next.no,
                None => break,
            }
        }
        to
    }

    /// The nodes that something leads to, equal ones once.
    fn kept<T>(&self, steps: &[Step], facts: &[Option<T>], root: Node) -> (Self, Node) {
        let mut graph = Self::default();
        let mut places = vec![REJECT; self.len()];
        places[ACCEPT] = ACCEPT;
        for (n, step) in steps.iter().enumerate() {
            if facts[n + 2].is_some() {
                places[n + 2] = graph.add(Step {
                    test: step.test,
                    yes: places[step.yes],
                    no: places[step.no],
                });
            }
        }
        (graph, places[root])
    }
}

/// The outcome of a test, if those of others leave only one.
fn decide(test: Test, known: &[(Test, bool)], values: &Values) -> Option<bool> {
    if let Some((_, outcome)) = known.iter().find(|(other, _)| *other == test) {
        return Some(*outcome);
    }
    let With::Const(k) = test.with else {
        return None;
    };
    if let Some(number) = known_number(test.val, known, values, 8) {
        return Some(holds(test.cond, number, k));
    }
    let (mut least, mut most) = (0, u32::MAX);
    for (other, outcome) in known {
        let (true, With::Const(bound)) = (other.val == test.val, other.with) else {
            continue;
        };
        match (other.cond, outcome) {
            (Comparison::Eq, false) if test.cond == Comparison::Eq && bound == k => {
                return Some(false);
            }
            (Comparison::Gt, true) => least = least.max(bound.saturating_add(1)),
            (Comparison::Gt, false) => most = most.min(bound),
            (Comparison::Ge, true) => least = least.max(bound),
            (Comparison::Ge, false) => most = most.min(bound.saturating_sub(1)),
            _ => {}
        }
    }
    match test.cond {
        Comparison::Eq if k < least || k > most => Some(false),
        Comparison::Gt if least > k => Some(true),
        Comparison::Gt if most <= k => Some(false),
        Comparison::Ge if least >= k => Some(true),
        Comparison::Ge if most < k => Some(false),
        _ => None,
    }
}

/// The number that a value must be.
fn known_number(val: Val, known: &[(Test, bool)], values: &Values, depth: u8) -> Option<u32> {
    let is_equal = |(test, outcome): &(Test, bool)| match test.with {
        With::Const(k) if *outcome && test.val == val && test.cond == Comparison::Eq => Some(k),
        _ => None,
    };
    if let Some(k) = known.iter().find_map(is_equal) {
        return Some(k);
    }
    match values.get(val) {
        Value::Const(k) => Some(k),
        Value::Binary(operator, a, b) if depth > 0 => {
            let a = known_number(a, known, values, depth - 1)?;
            compute(operator, a, known_number(b, known, values, depth - 1)?)
        }
        _ => None,
    }
}
