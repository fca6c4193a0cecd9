//! The boundary around a parser: a panic inside ends only its session.

use std::any::Any;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::SessionEnd;

/// The reason if a panic has no text.
const NO_TEXT: &str = "the parser gave no reason";

/// Runs code of a parser.
///
/// No half-finished state is used again: the parser is dropped, and the vector of messages is valid
/// after any panic of a push.
pub(super) fn contained<T>(run: impl FnOnce() -> T) -> Result<T, SessionEnd> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| SessionEnd::Panicked(text(panic)))
}

/// Drops a parser, or what a panic carried.
pub(super) fn discard<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // Dropping it could panic as well.
        std::mem::forget(panic);
    }
}

#[cold]
fn text(panic: Box<dyn Any + Send>) -> Cow<'static, str> {
    let panic = match panic.downcast::<&'static str>() {
        Ok(text) => return Cow::Borrowed(*text),
        Err(panic) => panic,
    };
    match panic.downcast::<String>() {
        Ok(text) => Cow::Owned(*text),
        Err(panic) => {
            discard(panic);
            Cow::Borrowed(NO_TEXT)
        }
    }
}
