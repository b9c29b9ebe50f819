"""A researcher: a LangGraph graph whose model may look something up before it answers.

python -m uvicorn examples.agents.research:app --port 8080
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, FastAPI
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from agentspec_usage.sdk import Reporter, instrument_call_model, usage_asgi

reporter = Reporter.from_environment()


@tool
def look_up(topic: str) -> str:
    """What the library has on a topic."""
    return f"{topic}: three shelves, alphabetically."


model = ChatOpenAI(model="gpt-5", streaming=True, stream_usage=True).bind_tools([look_up])


async def call_model(state: MessagesState) -> dict[str, list[BaseMessage]]:
    """The graph's one model call."""
    return {"messages": [await model.ainvoke(state["messages"])]}


graph = StateGraph(MessagesState)
graph.add_node("model", instrument_call_model(call_model, reporter=reporter))
graph.add_node("tools", ToolNode([look_up]))
graph.add_edge(START, "model")
graph.add_conditional_edges("model", tools_condition)
graph.add_edge("tools", "model")
researcher = graph.compile()

app = FastAPI(lifespan=reporter.lifespan)
app.mount("/agentspec", usage_asgi(reporter))


@app.post("/ask")
async def ask(question: Annotated[str, Body(embed=True)]) -> str:
    """Find something out."""
    state = await researcher.ainvoke({"messages": [HumanMessage(question)]})
    return str(state["messages"][-1].content)
