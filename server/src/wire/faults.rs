//! What is wrong with one request: every fault that its parsing found.
//!
//! Parsing goes on after a fault, so that the caller hears of all of them at once. What is kept is
//! bounded, however many there are: an answer must fit the header block of a gRPC trailer. Which
//! status it becomes is said in `status`.

/// Faults kept of each sort. With the longest paths and descriptions they stay under the 8 KiB of
/// headers that the strictest client takes.
pub(crate) const FAULTS_MAX: usize = 32;

/// One field that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The path from the request or frame, with the contract's names.
    pub(crate) field: String,
    /// What is wrong and what is allowed.
    pub(crate) description: String,
}

/// One field that holds more bytes than it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Oversize {
    /// The field and what is wrong.
    pub(crate) violation: Violation,
    /// What is allowed, in bytes.
    pub(crate) limit: u64,
}

/// Why a request cannot become a command: at least one fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Invalid {
    /// Fields that no server would take.
    pub(crate) violations: Vec<Violation>,
    /// Fields that are too large for this server.
    pub(crate) too_large: Vec<Oversize>,
    /// Fields that are in order and that this server does not honour yet.
    pub(crate) not_built: Vec<String>,
    /// Faults that were found and not kept.
    pub(crate) left_out: usize,
}

/// Collects the faults of one request while it is parsed.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    prefix: String,
    found: Invalid,
}

// === impl Invalid ===

impl Invalid {
    fn is_empty(&self) -> bool {
        self.violations.is_empty() && self.too_large.is_empty() && self.not_built.is_empty()
    }
}

// === impl Faults ===

impl Faults {
    /// What `parse` makes of a whole request, or everything that is wrong with it.
    pub(crate) fn collect<T>(parse: impl FnOnce(&mut Self) -> Option<T>) -> Result<T, Invalid> {
        let mut faults = Self::default();
        let parsed = parse(&mut faults);
        faults.finish(parsed)
    }

    /// Parses what lies under a field: paths in `parse` are taken from there.
    pub(crate) fn within<T>(&mut self, field: &str, parse: impl FnOnce(&mut Self) -> T) -> T {
        let outer = self.prefix.len();
        self.prefix = self.path(field);
        let parsed = parse(self);
        self.prefix.truncate(outer);
        parsed
    }

    /// Parses one item of a list field.
    pub(crate) fn within_item<T>(
        &mut self,
        field: &str,
        index: usize,
        parse: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let outer = self.prefix.len();
        self.prefix = self.path(field);
        self.prefix.push_str(&format!("[{index}]"));
        let parsed = parse(self);
        self.prefix.truncate(outer);
        parsed
    }

    /// Records a field that is not as it must be; the empty name means the enclosing one.
    pub(crate) fn invalid(&mut self, field: &str, description: impl Into<String>) {
        if self.found.violations.len() == FAULTS_MAX {
            self.found.left_out += 1;
            return;
        }
        let violation = self.violation(field, description);
        self.found.violations.push(violation);
    }

    /// Records a field that holds more bytes than this server takes, and the setting that says so, if one does.
    pub(crate) fn too_large(&mut self, field: &str, limit: u64, bytes: u64, setting: Option<&str>) {
        if self.found.too_large.len() == FAULTS_MAX {
            self.found.left_out += 1;
            return;
        }
        let setting = setting.map_or_else(String::new, |setting| format!(" ({setting})"));
        let description = format!("must be at most {limit} bytes{setting}, got {bytes}");
        let violation = self.violation(field, description);
        self.found.too_large.push(Oversize { violation, limit });
    }

    /// Records a field that is set and that this server does not honour yet.
    pub(crate) fn not_built(&mut self, field: &str) {
        if self.found.not_built.len() == FAULTS_MAX {
            self.found.left_out += 1;
            return;
        }
        let path = self.path(field);
        self.found.not_built.push(path);
    }

    /// What was built, or everything that is wrong. Whoever builds nothing has recorded why.
    pub(crate) fn finish<T>(self, built: Option<T>) -> Result<T, Invalid> {
        if self.found.is_empty() {
            Ok(built.expect("whoever builds nothing has recorded a fault"))
        } else {
            Err(self.found)
        }
    }

    fn violation(&self, field: &str, description: impl Into<String>) -> Violation {
        Violation {
            field: self.path(field),
            description: description.into(),
        }
    }

    fn path(&self, field: &str) -> String {
        match (self.prefix.as_str(), field) {
            (prefix, "") => prefix.to_owned(),
            ("", field) => field.to_owned(),
            (prefix, field) => format!("{prefix}.{field}"),
        }
    }
}
