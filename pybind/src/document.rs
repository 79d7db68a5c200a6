//! The document that a model remembers: what the server is known to hold, and what operations do to it.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use rapyer_engine::{Change, Mirror, Path, Step, guarded, json};

use crate::{CommandError, reply};

/// An engine document without a key, an expiry or a policy. Forks share it until one of them changes.
#[pyclass(frozen, module = "rapyer._native")]
pub(crate) struct Document {
    mirror: Mutex<Arc<Mirror>>,
}

impl Document {
    fn of(mirror: Arc<Mirror>) -> Self {
        Self { mirror: Mutex::new(mirror) }
    }

    fn mirror(&self) -> std::sync::MutexGuard<'_, Arc<Mirror>> {
        // A panic in a command does not get here: the guard made an error of it.
        self.mirror.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Document {
    #[new]
    fn new(text: &[u8]) -> PyResult<Self> {
        let mirror = Mirror::new(text).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self::of(Arc::new(mirror)))
    }

    /// Runs a command on it: the reply, and what it changed.
    #[expect(clippy::needless_pass_by_value, reason = "arguments of the extension are extracted by value")]
    fn apply<'py>(
        &self,
        py: Python<'py>,
        words: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyList>)> {
        let words = words.iter().map(word).collect::<PyResult<Vec<_>>>()?;
        let words: Vec<&[u8]> = words.iter().map(Word::bytes).collect();
        let mut mirror = self.mirror();
        let answer = guarded(|| Arc::make_mut(&mut mirror).apply(&words)).and_then(|answer| answer);
        drop(mirror);
        let (value, changes) = answer.map_err(|error| CommandError::new_err(error.to_string()))?;
        let changes = changes.iter().map(|one| change(py, one)).collect::<PyResult<Vec<_>>>()?;
        Ok((reply(py, &value)?, PyList::new(py, changes)?))
    }

    /// The text of the value at a path; None where there is none.
    fn get<'py>(&self, py: Python<'py>, path: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut mirror = self.mirror();
        // What forks share is looked at as it is: breaking it up would copy it.
        if let Some(alone) = Arc::get_mut(&mut mirror) {
            alone.break_up();
        }
        let found = Path::parse(path.as_bytes())
            .and_then(|path| mirror.get(&path))
            .map_err(|error| CommandError::new_err(error.to_string()))?;
        Ok(found.map(|text| PyBytes::new(py, &text)))
    }

    /// Whether there is a value at a path.
    fn has(&self, path: &str) -> PyResult<bool> {
        Path::parse(path.as_bytes())
            .and_then(|path| self.mirror().has(&path))
            .map_err(|error| CommandError::new_err(error.to_string()))
    }

    /// The whole text.
    fn text<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.mirror().text().map(|text| PyBytes::new(py, &text))
    }

    /// The deepest values in which a text differs: the steps there, the text before and the text after.
    fn diff<'py>(&self, py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyList>> {
        let found =
            self.mirror().differences(text).map_err(|error| PyValueError::new_err(error.to_string()))?;
        let text = |text: &Option<Vec<u8>>| text.as_deref().map(|text| PyBytes::new(py, text));
        let found = found
            .iter()
            .map(|one| Ok((steps(py, one.path.steps())?, text(&one.before), text(&one.after))))
            .collect::<PyResult<Vec<_>>>()?;
        PyList::new(py, found)
    }

    /// Another one with the same value; neither follows the other.
    fn fork(&self) -> Self {
        Self::of(Arc::clone(&self.mirror()))
    }
}

/// The words of a command as a transport writes them.
#[pyfunction]
pub(crate) fn packed<'py>(py: Python<'py>, words: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyTuple>> {
    let words = words
        .iter()
        .map(|given| {
            Ok(match word(&given)? {
                Word::Bytes(bytes) => bytes,
                Word::Text(text) => PyBytes::new(py, text.as_bytes()),
            })
        })
        .collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, words)
}

/// A word of a command as Python has it.
enum Word<'py> {
    Bytes(Bound<'py, PyBytes>),
    Text(String),
}

impl Word<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes.as_bytes(),
            Self::Text(text) => text.as_bytes(),
        }
    }
}

fn word<'py>(given: &Bound<'py, PyAny>) -> PyResult<Word<'py>> {
    if let Ok(bytes) = given.cast::<PyBytes>() {
        return Ok(Word::Bytes(bytes.clone()));
    }
    if let Ok(text) = given.cast::<PyString>() {
        return Ok(Word::Text(text.to_str()?.to_owned()));
    }
    match given.extract::<i64>() {
        Ok(number) => Ok(Word::Text(number.to_string())),
        Err(_) => {
            Err(PyTypeError::new_err(format!("a word of a command is bytes, str or int, not {given:?}")))
        }
    }
}

/// A change as Python takes it over: its kind, the steps to its place, and what comes or goes.
fn change<'py>(py: Python<'py>, change: &Change) -> PyResult<Bound<'py, PyTuple>> {
    let texts = |values: &[Vec<u8>]| PyList::new(py, values.iter().map(|value| PyBytes::new(py, value)));
    match change {
        Change::Put { path, value } => {
            ("put", steps(py, path.steps())?, PyBytes::new(py, value)).into_pyobject(py)
        }
        Change::Unset { path } => ("unset", steps(py, path.steps())?).into_pyobject(py),
        Change::Insert { path, at, values } => {
            ("insert", steps(py, path.steps())?, *at, texts(values)?).into_pyobject(py)
        }
        Change::Cut { path, at, values } => {
            ("cut", steps(py, path.steps())?, *at, texts(values)?).into_pyobject(py)
        }
    }
}

fn steps<'py>(py: Python<'py>, steps: &[Step]) -> PyResult<Bound<'py, PyTuple>> {
    let steps = steps
        .iter()
        .map(|step| {
            Ok(match step {
                Step::Index(index) => index.into_pyobject(py)?.into_any(),
                Step::Name(name) => PyString::new(py, &json::unquote(name)).into_any(),
                Step::Filter(_) => PyString::new(py, &step.to_string()).into_any(),
            })
        })
        .collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, steps)
}
