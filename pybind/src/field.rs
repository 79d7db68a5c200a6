//! The descriptor of a model's field whose values have operations.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// Hands out the values that instances keep in their `__dict__`, bound to their places.
///
/// In Rust, because a descriptor in Python costs a call of its own for each read.
#[pyclass(frozen, module = "rapyer._native")]
pub(crate) struct Field {
    name: Py<PyString>,
    /// What to make of a value of a type; it gets its place afterwards.
    makers: Py<PyDict>,
    /// Called for any other value, with it, the instance and the name.
    bind: Py<PyAny>,
    /// Called where there is no value, with the instance, or None for the class, the class and the name.
    missing: Py<PyAny>,
}

#[pymethods]
impl Field {
    #[new]
    fn new(name: Py<PyString>, makers: Py<PyDict>, bind: Py<PyAny>, missing: Py<PyAny>) -> Self {
        Self { name, makers, bind, missing }
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

fn fields<'py>(instance: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    Ok(instance.getattr(intern!(instance.py(), "__dict__"))?.cast_into()?)
}
