"""What does a report look like when it is drawn? Sums of a few of its columns along another, in one currency."""

from collections import Counter, defaultdict
from datetime import date, timedelta
from typing import Any

from checkout.kit.money import Money
from ledger.reports.declaration import Chart, Report, Row, Type
from ledger.reports.scope import Scope

_MOST_LABELS = 12  # of names; days are drawn all
_LOOK = {"displayYAxis": True, "borderRadius": 2, "maxBarThickness": 24, "maxTicksXLimit": 16}

Figures = dict[Any, dict[str, int]]  # by label, then by column


class Drawing:
    """Gathers what is to be drawn while the rows pass by."""

    def __init__(self, report: Report, chart: Chart) -> None:
        self.columns = {column.name: column for column in report.columns}
        self.chart = chart
        self.row_counts: Counter[str] = Counter()
        self.figures: dict[str, Figures] = {}

    def add(self, row: Row) -> None:
        """Take one row in."""
        currency = row["currency"]
        self.row_counts[currency] += 1
        figures = self.figures.setdefault(currency, defaultdict(lambda: dict.fromkeys(self.chart.columns, 0)))
        sums = figures[row[self.chart.by]]
        for name in self.chart.columns:
            sums[name] += row[name] or 0

    @property
    def currency(self) -> str:
        """The currency that is drawn: the one with most rows; empty if there are none."""
        return self.row_counts.most_common(1)[0][0] if self.row_counts else ""

    def data(self, scope: Scope) -> dict[str, Any]:
        """Labels and data sets, as the chart component wants them; nothing if all is zero."""
        figures = self.figures.get(self.currency, {})
        if not any(any(sums.values()) for sums in figures.values()):
            return {}
        labels = self._labels(figures, scope)
        return {
            "labels": [f"{label.day} {label:%b}" if isinstance(label, date) else str(label) for label in labels],
            "datasets": [
                {
                    "label": self.columns[name].title,
                    "data": [self._height(name, figures.get(label, {}).get(name, 0)) for label in labels],
                    "backgroundColor": f"var({colour})",
                    **_LOOK,
                    **({"stack": "all"} if self.chart.is_stacked else {"grouped": True}),
                }
                for name, colour in zip(self.chart.columns, self.chart.colours, strict=False)
            ],
        }

    def _labels(self, figures: Figures, scope: Scope) -> list[Any]:
        """Every day of the period, also where nothing happened; of names the largest, in their order."""
        if self.columns[self.chart.by].type is Type.DATE:
            return [scope.first + timedelta(number) for number in range((scope.last - scope.first).days + 1)]
        largest = sorted(figures, key=lambda label: -max(map(abs, figures[label].values())))[:_MOST_LABELS]
        return [label for label in figures if label in largest]

    def _height(self, name: str, figure: int) -> float:
        if self.columns[name].type is Type.MONEY:
            return float(Money(figure, self.currency).as_decimal())
        return figure
