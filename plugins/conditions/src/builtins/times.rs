use super::{Answer, Builtin, Call, Parameter, Signature};
use crate::layout;
use crate::time::{Time, parse_duration};
use crate::value::Value;
use Parameter::Text;
use std::rc::Rc;

pub const ALL: &[Builtin] = &[
    Builtin::new("now", Signature::Overloads(&[&[]], Answer::Time), |call| match call.context.now {
        Some(millis) => {
            let millis = i64::try_from(millis).unwrap_or(i64::MAX);
            Ok(time(Time::utc(millis / 1_000, millis % 1_000 * 1_000_000)))
        }
        None => Err("now(): the time is not given here".into()),
    }),
    Builtin::new("duration", Signature::Overloads(&[&[Text]], Answer::Duration), |call| {
        let text = call.text(0)?;
        parse_duration(text)
            .map(Value::Duration)
            .ok_or_else(|| format!("duration(): {text:?} is no duration, such as 1h30m"))
    }),
    Builtin::new("date", Signature::Overloads(&[&[Text], &[Text, Text], &[Text, Text, Text]], Answer::Time), date),
];

fn time(time: Time) -> Value {
    Value::Time(Rc::new(time))
}

fn date(call: &Call<'_>) -> Result<Value, String> {
    let text = call.text(0)?;
    if call.arguments.len() == 1 {
        let found = layout::DEFAULTS.iter().find_map(|layout| layout::parse(layout, text));
        return found.map(time).ok_or_else(|| format!("date(): {text:?} is no date"));
    }
    let wanted = call.text(1)?;
    if call.arguments.len() == 3 {
        let zone = call.text(2)?;
        // The sandbox has no time zone database.
        if !matches!(zone, "" | "UTC" | "Local") {
            return Err(format!("date(): the zone {zone} is not known here: write the offset into the date"));
        }
    }
    layout::parse(wanted, text).map(time).ok_or_else(|| format!("date(): {text:?} is not laid out as {wanted:?}"))
}
