import "reflect-metadata";
import { BadRequestException, Body, Controller, HttpCode, Module, Post } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { ready } from "../lib/ready.ts";

class CalculatorController {
  sum({ a, b }: { a: unknown; b: unknown }): { v: number } {
    if (typeof a !== "number" || typeof b !== "number") throw new BadRequestException("a and b must be numbers");
    return { v: a + b };
  }
}

class AppModule {}

// Node strips types but does not compile decorators, so each is applied by calling it.
const methods = CalculatorController.prototype;
const sum = Object.getOwnPropertyDescriptor(methods, "sum");
if (sum === undefined) throw new Error("the controller has no method sum");
Post("sum")(methods, "sum", sum);
HttpCode(200)(methods, "sum", sum);
Body()(methods, "sum", 0);
Controller("calc.v1.Calculator")(CalculatorController);
Module({ controllers: [CalculatorController] })(AppModule);

const app = await NestFactory.create(AppModule, { logger: false });
await app.listen(0, "127.0.0.1");
ready(app.getHttpServer().address().port);
