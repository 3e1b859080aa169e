use super::{Level, Verdict, fail};
use crate::influx::{Client, Tuning};
use crate::settings::InfluxSettings;

/// Whether InfluxDB answers and each bucket can be written.
pub(super) fn check(settings: &InfluxSettings, note: &mut impl FnMut(Verdict)) {
    match Client::new(&settings.into(), &Tuning::default()) {
        Ok(client) => {
            for line in crate::influx::check(&client) {
                let level = if line.ok { Level::Ok } else { Level::Fail };
                // A problem's own text may begin with the setting it is about.
                let found = line.verdict.strip_prefix(&line.what).map_or(&*line.verdict, str::trim_start);
                note(Verdict { level, found: found.to_owned(), what: line.what });
            }
        }
        Err(error) => note(fail(error.setting, error.problem)),
    }
}
