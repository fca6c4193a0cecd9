//! Objects, whole and damaged, are read or refused.

use std::collections::HashSet;

use proptest::prelude::*;

use super::{Program, read};

fn good() -> Vec<u8> {
    Program::redirect().queues(4).object().unwrap()
}

/// aya's processing of an object before it calls the kernel.
fn load(bytes: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    read(|| {
        let mut object = aya_obj::Object::parse(bytes)?;
        let maps = object.maps.clone();
        let maps = maps.iter().map(|(name, map)| (name.as_str(), 3, map));
        let text: HashSet<usize> = object.functions.keys().map(|(at, _)| *at).collect();
        object.relocate_maps(maps, &text)?;
        object.relocate_calls(&text)?;
        Ok(())
    })?
}

#[test]
fn a_generated_object_is_read() {
    load(&good()).unwrap();
    assert!(load(b"").is_err());
    assert!(load(b"\x7fELF").is_err());
}

#[test]
fn an_object_that_is_cut_is_refused() {
    let good = good();
    for cut in 0..good.len() {
        assert!(load(&good[..cut]).is_err(), "{cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_object_with_any_damage_is_read_or_refused(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut damaged = good();
        for (at, value) in damage {
            *at.get_mut(&mut damaged) = value;
        }
        let _ = load(&damaged);
    }
}
