//! The forms in which serde writes parts of a record.

/// The reason of an end by its name.
pub(super) mod reason {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::EndReason;

    pub(in super::super) fn serialize<S: Serializer>(
        reason: &Option<EndReason>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match reason {
            Some(reason) => to.serialize_str(reason.as_str()),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<EndReason>, D::Error> {
        let name = Option::<String>::deserialize(from)?;
        name.map(|name| name.parse().map_err(Error::custom))
            .transpose()
    }
}
