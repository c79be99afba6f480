//! A charger's settings: what `GetConfiguration` shows and `ChangeConfiguration` changes
//! (OCPP 1.6 §9.1).

use std::time::Duration;

use ocpp::v16::{ConfigurationStatus, GetConfigurationConf, KeyValue};

/// Hex digits of an `AuthorizationKey` (OCPP 1.6 security whitepaper §2.3).
const AUTHORIZATION_KEY_DIGITS: usize = 40;

/// What kind of value a setting holds, and so what it can be changed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Switch,
    Text,
    /// Cannot be changed.
    Fixed,
    /// Can be changed and is never shown.
    Secret,
}

#[derive(Debug)]
struct Setting {
    key: &'static str,
    kind: Kind,
    value: String,
}

/// The settings of one charger.
#[derive(Debug)]
pub(super) struct Settings(Vec<Setting>);

impl Settings {
    pub(super) fn new(connectors: usize) -> Self {
        use Kind::{Fixed, Number, Secret, Switch, Text};
        let connectors = connectors.to_string();
        let known = [
            ("AllowOfflineTxForUnknownId", Switch, "true"),
            ("AuthorizationKey", Secret, ""),
            ("AuthorizeRemoteTxRequests", Switch, "false"),
            ("ClockAlignedDataInterval", Number, "0"),
            ("ConnectionTimeOut", Number, "60"),
            ("GetConfigurationMaxKeys", Fixed, "100"),
            ("HeartbeatInterval", Number, "300"),
            ("LocalAuthorizeOffline", Switch, "true"),
            ("LocalPreAuthorize", Switch, "false"),
            ("MeterValueSampleInterval", Number, "5"),
            (
                "MeterValuesSampledData",
                Text,
                "Energy.Active.Import.Register,Power.Active.Import",
            ),
            ("NumberOfConnectors", Fixed, &connectors),
            ("ResetRetries", Number, "1"),
            ("StopTransactionOnEVSideDisconnect", Switch, "true"),
            ("StopTransactionOnInvalidId", Switch, "true"),
            ("SupportedFeatureProfiles", Fixed, "Core,RemoteTrigger"),
            ("TransactionMessageAttempts", Number, "3"),
            ("TransactionMessageRetryInterval", Number, "10"),
            ("UnlockConnectorOnEVSideDisconnect", Switch, "true"),
            ("WebSocketPingInterval", Number, "0"),
        ];
        Self(
            known
                .into_iter()
                .map(|(key, kind, value)| Setting {
                    key,
                    kind,
                    value: value.to_owned(),
                })
                .collect(),
        )
    }

    fn find(&self, key: &str) -> Option<&Setting> {
        self.0
            .iter()
            .find(|setting| setting.key.eq_ignore_ascii_case(key))
    }

    /// A numeric setting; 0 where there is no such.
    pub(super) fn number(&self, key: &str) -> u64 {
        self.find(key)
            .and_then(|setting| setting.value.parse().ok())
            .unwrap_or(0)
    }

    /// A setting in seconds, where 0 stands for "never" or "as the charger likes".
    pub(super) fn seconds(&self, key: &str) -> Option<Duration> {
        let seconds = self.number(key);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// A switch; off where there is no such.
    pub(super) fn is_on(&self, key: &str) -> bool {
        self.find(key)
            .is_some_and(|setting| setting.value.eq_ignore_ascii_case("true"))
    }

    /// The password the server has set, as the bytes its hex digits stand for.
    pub(super) fn authorization_key(&self) -> Option<Vec<u8>> {
        let digits = &self.find("AuthorizationKey")?.value;
        let pairs = digits.as_bytes().chunks_exact(2).map(|pair| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        });
        pairs
            .collect::<Option<Vec<u8>>>()
            .filter(|bytes| !bytes.is_empty())
    }

    /// Answers `ChangeConfiguration`.
    pub(super) fn change(&mut self, key: &str, value: &str) -> ConfigurationStatus {
        let found = self
            .0
            .iter_mut()
            .find(|setting| setting.key.eq_ignore_ascii_case(key));
        let Some(setting) = found else {
            return ConfigurationStatus::NotSupported;
        };
        let possible = match setting.kind {
            Kind::Number => value.parse::<u32>().is_ok(),
            Kind::Switch => matches!(value.to_ascii_lowercase().as_str(), "true" | "false"),
            Kind::Text => true,
            Kind::Fixed => false,
            Kind::Secret => {
                value.len() <= AUTHORIZATION_KEY_DIGITS
                    && value.len() >= 2
                    && value.len().is_multiple_of(2)
                    && value.bytes().all(|digit| digit.is_ascii_hexdigit())
            }
        };
        if !possible {
            return ConfigurationStatus::Rejected;
        }
        value.clone_into(&mut setting.value);
        ConfigurationStatus::Accepted
    }

    /// Answers `GetConfiguration`: the settings asked for, or all.
    pub(super) fn show(&self, keys: Vec<String>) -> GetConfigurationConf {
        if keys.is_empty() {
            return GetConfigurationConf {
                configuration_key: self.0.iter().map(Setting::show).collect(),
                unknown_key: Vec::new(),
            };
        }
        let mut conf = GetConfigurationConf::default();
        for key in keys {
            match self.find(&key) {
                Some(setting) => conf.configuration_key.push(setting.show()),
                None => conf.unknown_key.push(key),
            }
        }
        conf
    }
}

impl Setting {
    fn show(&self) -> KeyValue {
        KeyValue {
            key: self.key.to_owned(),
            readonly: self.kind == Kind::Fixed,
            value: (self.kind != Kind::Secret).then(|| self.value.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_takes_what_fits_it() {
        let mut settings = Settings::new(2);
        let mut check = |key: &str, value: &str, expect: &str| {
            assert_eq!(
                settings.change(key, value).as_str(),
                expect,
                "{key}={value}"
            );
        };
        check("HeartbeatInterval", "60", "Accepted");
        check("heartbeatinterval", "61", "Accepted");
        check("HeartbeatInterval", "soon", "Rejected");
        check("HeartbeatInterval", "-1", "Rejected");
        check("LocalPreAuthorize", "TRUE", "Accepted");
        check("LocalPreAuthorize", "1", "Rejected");
        check("NumberOfConnectors", "4", "Rejected");
        check("Colour", "green", "NotSupported");
        check("AuthorizationKey", "zz", "Rejected");
        check("AuthorizationKey", "ff00", "Accepted");
        assert_eq!(settings.number("HeartbeatInterval"), 61);
        assert_eq!(settings.authorization_key(), Some(vec![0xff, 0]));
    }

    #[test]
    fn what_is_asked_for_is_shown_except_the_secret() {
        let settings = Settings::new(2);
        let conf = settings.show(vec!["NumberOfConnectors".to_owned(), "Colour".to_owned()]);
        assert_eq!(conf.configuration_key[0].value.as_deref(), Some("2"));
        assert!(conf.configuration_key[0].readonly);
        assert_eq!(conf.unknown_key, ["Colour"]);
        let all = settings.show(Vec::new()).configuration_key;
        assert_eq!(all.len(), settings.0.len());
        let secret = all
            .iter()
            .find(|shown| shown.key == "AuthorizationKey")
            .unwrap();
        assert_eq!(secret.value, None);
    }
}
