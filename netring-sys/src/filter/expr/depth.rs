//! How deep a tree may be. What walks a tree calls itself for each level, so the depth is known
//! wherever a level is added, and a tree that would be too deep is not built.

/// Levels of a tree.
pub(in crate::filter) type Depth = u16;

/// How deep parentheses, `not`, arithmetic and changes between `and` and `or` may nest.
pub(in crate::filter) const MOST: Depth = 200;

/// The depth of a level above others; `None` if that is too deep.
pub(super) const fn above(depth: Depth) -> Option<Depth> {
    if depth < MOST { Some(depth + 1) } else { None }
}
