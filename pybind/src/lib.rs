//! `rapyer._native`: the engine in the Python process, with a clock that tests can move.

mod document;
mod field;

use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyBytesMethods, PyDict, PyList};
use rapyer_engine::command::{Access, Arg, Keys, Kind, entries};
use rapyer_engine::embedded::{Clocks, Keyspace};
use rapyer_engine::{Limit, Millis, Prefix, Time, Value, guarded, json};

pyo3::create_exception!(
    rapyer._native,
    CommandError,
    PyException,
    "An error reply: its text starts with the error's prefix."
);

/// A database of documents in this process.
#[pyclass(frozen, module = "rapyer._native")]
struct Engine {
    state: Mutex<State>,
}

struct State {
    keyspace: Keyspace,
    /// How far tests have moved the clock on, in milliseconds.
    ahead: Time,
    /// How far on without what they moved it back.
    forward: Millis,
    started: Instant,
}

impl State {
    fn now(&self) -> PyResult<Time> {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(|_| PyValueError::new_err("the system clock is before 1970"))?;
        Ok((since.as_millis() as Time).saturating_add(self.ahead))
    }

    fn clocks(&self) -> PyResult<Clocks> {
        let monotonic = (self.started.elapsed().as_millis() as Millis).saturating_add(self.forward);
        Ok(Clocks { now: self.now()?, monotonic })
    }
}

impl Engine {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic in a command does not get here: the guard made an error of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Engine {
    #[new]
    fn new() -> Self {
        let state = State { keyspace: Keyspace::default(), ahead: 0, forward: 0, started: Instant::now() };
        Self { state: Mutex::new(state) }
    }

    /// Runs one command given as its words, and returns its reply.
    #[expect(clippy::needless_pass_by_value, reason = "arguments of the extension are extracted by value")]
    fn execute<'py>(&self, py: Python<'py>, args: Vec<Bound<'py, PyBytes>>) -> PyResult<Bound<'py, PyAny>> {
        let words: Vec<&[u8]> = args.iter().map(PyBytesMethods::as_bytes).collect();
        let mut state = self.state();
        let clocks = state.clocks()?;
        let answer = guarded(|| state.keyspace.execute(&words, clocks)).and_then(|answer| answer);
        drop(state);
        match answer {
            Ok(value) => reply(py, &value),
            Err(error) => Err(CommandError::new_err(error.to_string())),
        }
    }

    /// The engine's time, in milliseconds since the epoch.
    fn now(&self) -> PyResult<Time> {
        self.state().now()
    }

    /// The limits by their names.
    fn limits<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let state = self.state();
        let limits = PyDict::new(py);
        for limit in Limit::ALL {
            limits.set_item(limit.name(), state.keyspace.limits().get(limit))?;
        }
        Ok(limits)
    }

    /// Sets a limit by its name.
    fn set_limit(&self, name: &str, value: usize) -> PyResult<()> {
        let limit = Limit::ALL.into_iter().find(|limit| limit.name() == name);
        let limit = limit.ok_or_else(|| PyValueError::new_err(format!("no limit is called {name}")))?;
        self.state().keyspace.limits_mut().set(limit, value).map_err(|_| {
            let (least, most) = limit.range().into_inner();
            PyValueError::new_err(format!("{name} is {least} to {most} {}, not {value}", limit.unit()))
        })
    }

    /// Moves the engine's clock by this many milliseconds; back is a step that no time passes by.
    fn advance(&self, milliseconds: Millis) {
        let mut state = self.state();
        state.ahead = state.ahead.saturating_add(milliseconds);
        state.forward = state.forward.saturating_add(milliseconds.max(0));
    }
}

fn reply<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Ok => PyBytes::new(py, b"OK").into_any(),
        Value::Integer(value) => value.into_pyobject(py)?.into_any(),
        Value::Bulk(bytes) => PyBytes::new(py, bytes).into_any(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| reply(py, item)).collect::<PyResult<_>>()?;
            PyList::new(py, items)?.into_any()
        }
    })
}

/// The command table: a dict for every name that clients can call.
#[pyfunction]
fn commands(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    entries()
        .map(|entry| {
            let command = entry.command;
            let row = PyDict::new(py);
            row.set_item("name", entry.name())?;
            row.set_item("subcommand", command.subcommand)?;
            row.set_item("twin", entry.twin)?;
            row.set_item("synopsis", entry.synopsis())?;
            row.set_item("summary", command.summary)?;
            row.set_item("reply", command.reply)?;
            row.set_item("access", access_name(command.access))?;
            row.set_item("keys", keys_name(command.keys))?;
            row.set_item("groups", command.groups.names())?;
            row.set_item("special", command.special.map(|(case, groups)| (case, groups.names())))?;
            row.set_item("norefresh", command.norefresh)?;
            row.set_item("creates", command.creates)?;
            row.set_item("ifversion", command.ifversion)?;
            row.set_item("withversion", command.withversion())?;
            row.set_item("arity", command.arity())?;
            row.set_item("arguments", arguments(py, command.arguments())?)?;
            Ok(row)
        })
        .collect()
}

/// Arguments as the table declares them, a dict each; `parts` are the choices of one, or the arguments of a block.
fn arguments(
    py: Python<'_>,
    args: impl IntoIterator<Item = &'static Arg>,
) -> PyResult<Vec<Bound<'_, PyDict>>> {
    args.into_iter()
        .map(|arg| {
            let (kind, token, parts): (_, _, &[Arg]) = match &arg.kind {
                Kind::Key => ("key", None, &[]),
                Kind::Path => ("path", None, &[]),
                Kind::Json => ("json", None, &[]),
                Kind::Integer => ("integer", None, &[]),
                Kind::Count => ("count", None, &[]),
                Kind::Millis => ("millis", None, &[]),
                Kind::Text => ("text", None, &[]),
                Kind::Token(word) => ("token", Some(*word), &[]),
                Kind::OneOf(choices) => ("one-of", None, choices),
                Kind::Block(parts) => ("block", None, parts),
            };
            let row = PyDict::new(py);
            row.set_item("name", arg.name)?;
            row.set_item("kind", kind)?;
            row.set_item("token", token)?;
            row.set_item("parts", arguments(py, parts)?)?;
            row.set_item("optional", arg.optional)?;
            row.set_item("multiple", arg.multiple)?;
            Ok(row)
        })
        .collect()
}

/// The prefixes of error replies: each word, what causes the error, and what helps.
#[pyfunction]
fn errors() -> Vec<(&'static str, &'static str, &'static str)> {
    Prefix::ALL.iter().map(|prefix| (prefix.word(), prefix.cause(), prefix.remedy())).collect()
}

fn access_name(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Grow => "grow",
        Access::Write => "write",
        Access::Inspect => "inspect",
        Access::Configure => "configure",
    }
}

fn keys_name(keys: Keys) -> &'static str {
    match keys {
        Keys::None => "none",
        Keys::First => "first",
        Keys::FromTo => "from-to",
        Keys::All => "all",
        Keys::Counted => "counted",
    }
}

/// The texts of a JSON array's elements.
#[pyfunction]
fn elements<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let text = json::canonical(text, 0).map_err(|error| PyValueError::new_err(error.to_string()))?;
    if json::kind(&text) != json::Kind::Array {
        return Err(PyValueError::new_err("not a JSON array"));
    }
    Ok(json::elements(&text, 0).map(|element| PyBytes::new(py, &text[element])).collect())
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Engine>()?;
    module.add_class::<document::Document>()?;
    module.add_class::<field::Field>()?;
    module.add("CommandError", module.py().get_type::<CommandError>())?;
    module.add_function(wrap_pyfunction!(commands, module)?)?;
    module.add_function(wrap_pyfunction!(errors, module)?)?;
    module.add_function(wrap_pyfunction!(elements, module)?)?;
    module.add_function(wrap_pyfunction!(document::packed, module)?)
}
