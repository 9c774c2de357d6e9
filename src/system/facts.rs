//! What the configuration says of itself: `configuration` in `boot.json`, which
//! `initrd/facts.nix` writes. `initrd/README.md` has the schema; the names here are
//! those there. Nothing is presumed: what the configuration does not say is `None`.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

mod access;
mod network;
mod stage1;

pub(crate) use access::{Console, PasswordKind, Sshd, User, Users};
pub(crate) use network::{Network, Unit};
pub(crate) use stage1::{BootLoader, FileSystem, Initrd, LoaderName, Stage1Kind, Swap};

/// The schema that is read here.
const SCHEMA: u64 = 1;

/// A `Deserialize` with the names of the schema, which is written out again in the
/// test that nothing of a fixture is lost.
macro_rules! facts {
    ($($(#[$meta:meta])* struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize)]
        #[cfg_attr(test, derive(serde::Serialize))]
        #[serde(rename_all = "camelCase", default)]
        pub(crate) struct $name { $($(#[$field_meta])* pub $field: $type,)* }
    )*};
}
use facts;

/// All of it. A group that could not be evaluated is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Facts {
    pub schema: u64,
    #[serde(deserialize_with = "group")]
    pub boot_loader: Option<BootLoader>,
    #[serde(deserialize_with = "group")]
    pub file_systems: Option<Vec<FileSystem>>,
    #[serde(deserialize_with = "group")]
    pub swap: Option<Swap>,
    #[serde(deserialize_with = "group")]
    pub initrd: Option<Initrd>,
    #[serde(deserialize_with = "group")]
    pub users: Option<Users>,
    #[serde(deserialize_with = "group")]
    pub sshd: Option<Sshd>,
    #[serde(deserialize_with = "group")]
    pub console: Option<Console>,
    #[serde(deserialize_with = "group")]
    pub network: Option<Network>,
    #[serde(deserialize_with = "group")]
    pub system: Option<System>,
}

facts! {
    /// Of the whole.
    struct System {
        release: Option<String>,
        state_version: Option<String>,
        distro_id: Option<String>,
        platform: Option<String>,
        efi: Option<bool>,
        kernel: Option<String>,
        modules: Vec<String>,
        blacklisted: Vec<String>,
        etc_overlay: Option<EtcOverlay>,
        tools: Tools,
    }
    /// Where `/etc` is an overlay.
    struct EtcOverlay {
        enable: bool,
        mutable: Option<bool>,
    }
    /// Versions.
    struct Tools {
        e2fsprogs: Option<String>,
        grub: Option<String>,
        xfsprogs: Option<String>,
        #[serde(rename = "btrfs-progs")]
        btrfs_progs: Option<String>,
    }
}

/// A group; null and empty say that nothing is known.
fn group<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let value = Value::deserialize(deserializer)?;
    let nothing = match &value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    if nothing {
        return Ok(None);
    }
    serde_json::from_value(value).map(Some).map_err(serde::de::Error::custom)
}

/// Why there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Untold {
    /// Those of a newer module.
    Schema(String),
    /// What is wrong with them.
    Unreadable(String),
}

/// Reads them.
///
/// # Errors
/// Why they cannot be read.
pub(crate) fn read(configuration: &Value) -> Result<Facts, Untold> {
    // First of all: what another schema means is not known.
    match configuration.get("schema") {
        Some(schema) if schema.as_u64() == Some(SCHEMA) => {}
        Some(schema) => return Err(Untold::Schema(schema.to_string())),
        None => return Err(Untold::Unreadable("there is no schema".to_owned())),
    }
    Facts::deserialize(configuration).map_err(|error| Untold::Unreadable(error.to_string()))
}

impl Facts {
    /// The groups that could not be evaluated, by the names of their options.
    #[must_use]
    pub(crate) fn unknown(&self) -> Vec<&'static str> {
        let groups = [
            ("boot.loader", self.boot_loader.is_none()),
            ("fileSystems", self.file_systems.is_none()),
            ("swapDevices", self.swap.is_none()),
            ("boot.initrd", self.initrd.is_none()),
            ("users", self.users.is_none()),
            ("services.openssh", self.sshd.is_none()),
            ("console", self.console.is_none()),
            ("networking", self.network.is_none()),
            ("system", self.system.is_none()),
        ];
        groups.into_iter().filter(|(_, unknown)| *unknown).map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixtures() -> Vec<(String, Value)> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nix/facts");
        let files = std::fs::read_dir(folder).expect("the facts").map(|file| {
            let path = file.expect("a file").path();
            let text = std::fs::read_to_string(&path).expect("text");
            (path.display().to_string(), serde_json::from_str(&text).expect("JSON"))
        });
        files.collect()
    }

    /// Without what is null or empty, as the module writes them.
    fn compact(value: Value) -> Value {
        let is_nothing = |value: &Value| match value {
            Value::Null => true,
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        match value {
            Value::Object(map) => {
                let fields = map.into_iter().map(|(key, value)| (key, compact(value)));
                Value::Object(fields.filter(|(_, value)| !is_nothing(value)).collect())
            }
            Value::Array(list) => Value::Array(list.into_iter().map(compact).collect()),
            other => other,
        }
    }

    #[test]
    fn nothing_of_the_modules_facts_is_lost() {
        let fixtures = fixtures();
        assert!(fixtures.len() >= 63, "{}", fixtures.len());
        for (file, value) in fixtures {
            let facts = read(&value).unwrap_or_else(|why| panic!("{file}: {why:?}"));
            assert_eq!(facts.unknown(), [""; 0], "{file}");
            let again = compact(serde_json::to_value(&facts).expect("JSON"));
            assert_eq!(again, compact(value), "{file}");
        }
    }

    #[test]
    fn a_group_that_is_not_known_is_none() {
        let value = serde_json::json!({"schema": 1, "users": null, "initrd": {}, "fileSystems": [],
            "bootLoader": {"kind": "of-the-future"}});
        let facts = read(&value).expect("facts");
        assert_eq!((&facts.users, &facts.initrd, &facts.file_systems), (&None, &None, &None));
        assert_eq!(facts.unknown().len(), 8);
        let kind = facts.boot_loader.and_then(|loader| loader.kind);
        assert_eq!(kind, Some(LoaderName::Unknown));
    }

    #[test]
    fn other_schemas_are_not_read() {
        let newer = serde_json::json!({"schema": 2, "users": "otherwise"});
        assert_eq!(read(&newer), Err(Untold::Schema("2".to_owned())));
        let broken = serde_json::json!({"schema": 1, "users": {"list": [{"name": 5}]}});
        assert!(matches!(read(&broken), Err(Untold::Unreadable(why)) if why.contains("string")));
        assert!(matches!(read(&Value::Null), Err(Untold::Unreadable(_))));
    }
}
