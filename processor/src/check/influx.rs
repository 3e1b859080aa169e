use super::{Level, Verdict, fail};
use crate::influx::{Client, Tuning};
use crate::settings::InfluxSettings;

/// Whether InfluxDB answers and each bucket can be written.
pub(super) fn check(settings: &InfluxSettings, note: &mut impl FnMut(Verdict)) {
    match Client::new(&settings.into(), &Tuning::default()) {
        Ok(client) => {
            for line in crate::influx::check(&client) {
                let level = if line.ok { Level::Ok } else { Level::Fail };
                note(Verdict { level, what: line.what, found: line.verdict });
            }
        }
        Err(error) => note(fail(error.setting, error.problem)),
    }
}
