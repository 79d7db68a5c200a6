//! The descriptor of a model's field whose values have operations.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PySet, PyString, PyTuple};

/// Hands out the values that instances keep in their `__dict__`, bound to their places.
///
/// In Rust, because a descriptor in Python costs a call of its own for each read.
#[pyclass(frozen, module = "rapyer._native")]
pub(crate) struct Field {
    name: Py<PyString>,
    /// What to make of a value of a type; it gets its place afterwards.
    makers: Py<PyDict>,
    /// The types whose values know their places: one that has this place already is handed out as it is.
    kept: Py<PySet>,
    /// Called for any other value, with it, the instance and the name.
    bind: Py<PyAny>,
    /// Called where there is no value, with the instance, or None for the class, the class and the name.
    missing: Py<PyAny>,
}

#[pymethods]
impl Field {
    #[new]
    fn new(
        name: Py<PyString>,
        makers: Py<PyDict>,
        kept: Py<PySet>,
        bind: Py<PyAny>,
        missing: Py<PyAny>,
    ) -> Self {
        Self { name, makers, kept, bind, missing }
    }

    fn __get__<'py>(
        &self,
        instance: &Bound<'py, PyAny>,
        owner: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = instance.py();
        let name = self.name.bind(py);
        // On the class there is no instance.
        let value = if instance.is_none() { None } else { fields(instance)?.get_item(name)? };
        let Some(value) = value else {
            return self.missing.bind(py).call1((instance, owner, name));
        };
        let Some(make) = self.makers.bind(py).get_item(value.get_type())? else {
            if self.kept.bind(py).contains(value.get_type())? && is_at(&value, instance, name)? {
                return Ok(value);
            }
            return self.bind.bind(py).call1((value, instance, name));
        };
        let bound = make.call1((value,))?;
        bound.setattr(intern!(py, "_rapyer_place"), (instance, name))?;
        Ok(bound)
    }

    // Only a descriptor that can set comes before the instance's own dict when an attribute is read.
    fn __set__(&self, instance: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        fields(instance)?.set_item(&self.name, value)
    }
}

/// Whether a value knows that it sits there.
fn is_at(
    value: &Bound<'_, PyAny>,
    instance: &Bound<'_, PyAny>,
    name: &Bound<'_, PyString>,
) -> PyResult<bool> {
    match value.getattr(intern!(value.py(), "_rapyer_place"))?.cast::<PyTuple>() {
        Ok(place) => Ok(place.get_item(0)?.is(instance) && place.get_item(1)?.eq(name)?),
        Err(_) => Ok(false),
    }
}

fn fields<'py>(instance: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    Ok(instance.getattr(intern!(instance.py(), "__dict__"))?.cast_into()?)
}
