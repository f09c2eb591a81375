//! Where files are when nobody says so.
//!
//! A user's pool keeps to the XDG directories, a system's pool to `/etc/warppool` and `/var/lib/warppool`.

use std::path::{Path, PathBuf};

/// The directory of a system's configuration.
pub const SYSTEM_CONFIG_DIRECTORY: &str = "/etc/warppool";

/// The directory of a system's data.
pub const SYSTEM_DATA_DIRECTORY: &str = "/var/lib/warppool";

/// The variables that move directories.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Directories {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<PathBuf>,
    /// `XDG_DATA_HOME`.
    pub xdg_data_home: Option<PathBuf>,
}

impl Directories {
    /// As this process was started. Relative paths are ignored, as the XDG specification asks.
    pub fn from_environment() -> Self {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Self {
            home: absolute("HOME"),
            xdg_config_home: absolute("XDG_CONFIG_HOME"),
            xdg_data_home: absolute("XDG_DATA_HOME"),
        }
    }

    /// The places of `config.toml`, first choice first.
    pub fn config_files(&self) -> Vec<PathBuf> {
        let user = self.xdg_config_home.clone().or_else(|| Some(self.home.as_ref()?.join(".config")));
        let directories = user.map(|user| user.join("warppool")).into_iter().chain([SYSTEM_CONFIG_DIRECTORY.into()]);
        directories.map(|directory| directory.join("config.toml")).collect()
    }

    /// The `config.toml` that is there, else the first choice.
    pub fn config_file(&self) -> PathBuf {
        let files = self.config_files();
        files.iter().find(|file| file.exists()).or(files.first()).cloned().unwrap_or_default()
    }

    /// The directory of the data that goes with a configuration file.
    pub fn data(&self, config_file: Option<&Path>) -> PathBuf {
        let is_system = config_file.is_some_and(|file| file.starts_with(SYSTEM_CONFIG_DIRECTORY));
        let user = self.xdg_data_home.clone().or_else(|| Some(self.home.as_ref()?.join(".local/share")));
        match user {
            Some(user) if !is_system => user.join("warppool"),
            _ => SYSTEM_DATA_DIRECTORY.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_xdg_and_systems_have_var() {
        let user = Directories { home: Some("/home/me".into()), ..Directories::default() };
        let moved = Directories { xdg_data_home: Some("/data".into()), ..user.clone() };
        let service = Directories::default();
        assert_eq!(user.config_files()[0], Path::new("/home/me/.config/warppool/config.toml"));
        assert_eq!(user.config_files()[1], Path::new("/etc/warppool/config.toml"));
        assert_eq!(user.data(None), Path::new("/home/me/.local/share/warppool"));
        assert_eq!(user.data(Some(Path::new("/etc/warppool/config.toml"))), Path::new("/var/lib/warppool"));
        assert_eq!(moved.data(None), Path::new("/data/warppool"));
        assert_eq!(service.config_file(), Path::new("/etc/warppool/config.toml"));
        assert_eq!(service.data(None), Path::new("/var/lib/warppool"));
    }
}
