//! Sizes, offsets, constants and functions are those that the C compiler sees (bindings/layout/layout.json).
#![allow(clippy::unnecessary_cast)]

use std::collections::BTreeMap;

use glq_sys::*;
use serde_json::Value;

struct Struct {
    name: &'static str,
    size: usize,
    alignment: usize,
    fields: &'static [(&'static str, usize, usize)],
}

const fn size_behind<S, T>(_field: fn(&S) -> &T) -> usize {
    size_of::<T>()
}

macro_rules! layout_of {
    ($name:ident { $($field:ident,)* }) => {
        Struct {
            name: stringify!($name),
            size: size_of::<$name>(),
            alignment: align_of::<$name>(),
            fields: &[$((
                stringify!($field),
                core::mem::offset_of!($name, $field),
                size_behind(|all: &$name| &all.$field),
            )),*],
        }
    };
}

#[rustfmt::skip]
mod layout_table {
    use super::*;
    include!("layout_table/mod.rs");
}

fn expected() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../layout/layout.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn structs() {
    let mut found = BTreeMap::new();
    for item in layout_table::STRUCTS {
        let fields: BTreeMap<_, _> = item
            .fields
            .iter()
            .map(|(name, offset, size)| {
                (name.trim_end_matches('_'), serde_json::json!({"offset": offset, "size": size}))
            })
            .collect();
        let layout = serde_json::json!({"size": item.size, "alignment": item.alignment, "fields": fields});
        found.insert(item.name, layout);
    }
    assert!(found.len() > 15);
    assert_eq!(serde_json::to_value(found).unwrap(), expected()["structs"]);
}

#[test]
fn constants() {
    let found: BTreeMap<_, _> = layout_table::CONSTANTS.iter().copied().collect();
    assert!(found.len() > 70);
    assert_eq!(serde_json::to_value(found).unwrap(), expected()["constants"]);
}

#[test]
fn functions() {
    assert_eq!(serde_json::to_value(FUNCTION_NAMES).unwrap(), expected()["functions"]);
}

#[test]
fn loads_and_fits() {
    let api = api().unwrap();
    // SAFETY: takes nothing.
    assert!(unsafe { (api.glq_version)() } >= GLQ_VERSION);
}
