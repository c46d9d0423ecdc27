"""Settings of the course folder, and of the student's editions that are made here."""

c = get_config()  # noqa: F821 - nbgrader provides it

c.CourseDirectory.course_id = "which-frequencies"
c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE"}
c.ClearSolutions.text_stub = "*Your answer here: double-click to edit.*"
c.ExecutePreprocessor.timeout = 300
